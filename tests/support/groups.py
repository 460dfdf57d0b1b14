"""Disks as LVM 2.03.16 left them, recorded: a volume group `capsule` on 64 MiB, with its volumes or before it had any."""

import zlib
from base64 import b64decode
from pathlib import Path

LABEL_SUM, LABEL_ID, HEADER = 528, 572, 4100
"""Bytes in the label's checksum, in its id and in the header of the metadata."""

_SIZE_BYTES = 64 << 20
_WITH_VOLUMES = (
    "eNrtWN1u2zYUboZ1wHizXvQBCAUD2mF0SdqW7QAb5iRa5tWOM8dz+oNAUGXa1iqJikRpdope7mrP0yfYQ+wxtkfYoWSn6dz1olgLbOVnSOQ5Iqlz"
    "vsNjQufGDYMPGf3uvtMfHjs7a/mXF5e/Y62fDDimlF127IeP6k+/lz8/9VuLuMdW06Nm8WDIR2ej/ZY6gKEfVzNvvflFm8d/fvbaxx/BtWPCYWBg"
    "YGBgYGBgYGBg8M5w8luywOXH3vJxs/t5So+/+Hrndd9rn1TN7ZtVm/zx6y3D3n8fvpdkeSjwMxRM8VfYksPB/Ykkg3AxJxcPhgXhyXeUjH44c8jw"
    "YDojxY/55Mi3UCYuYgkTGJrJNPKUnhsWEYcnylN5BvJja+Sc9h453f2+Y32JQeoe6vZs1Bs71jmahd68HHeOxFKJWLlZcClA0WYdjiJv6YYFSLTs"
    "JuuuUN7UU57ryyQQWalDyWKVBb4XuoUM8wi0z0BX0CufqhoG0UUMoqsYRJcxiK5jEF3IIFUlw0JTUQS+NsC6B917oZRJ3ULXHer2+8OD7rj06BUH"
    "YPzGelZntMVRIlyYmGpiOG20tezLPNYya6Ln8ENw7eIjEYvUU2KKn6yqRCxEmgUyxrxG6zVm3+F38R1OOSe0SVj77h4e5wIfCh9jhhndq3f2mhTe"
    "wW2EfBlrIrVR1hhIxd9WwZmUxOCjVOaJhTYv0NEDyzM/DRJVKayzNFACz1IZ4WLupwIsw4Rc5IFQ0K6A3M2OeclRDUgqh8Ia7kJm5WYoIuvTXdwP"
    "4nyJiwjbNdauNRpk5pOi1eZ4l+HTwQk+GTnO4GTsHj487g56B/gbipdt27UbLxdUQVTS2urYjLNmh8Ky/8yAyej3m//c5P9b538o51tmizS6stsr"
    "Qd5487y/MX6dY+hMeqe9LWu3c8tuNNtNyK3tPF5vEB3xeaSDdOUF2qgYWFz66lZxLKOyDulmNEdIrZKS3EzB/42Yart155UFS01pJbIghOABRecV"
    "Wz/JPI298IqdJyX+H+ywt2WHr9l5/i8dJg26x1rv6DCZzVORKZnCgTIDmdcUrLkm8H0eITZrbR0h1/02h4KBgcEHgb8AyEh38w=="
)
"""pvcreate, vgcreate, and a vgcfgrestore that adds `perm` and `journal`: the first 8 KiB; behind them are zeros."""
_WITHOUT = (
    "eNrtmN1u0zAUx7eJG3wDEi9wlAnBEO5s93sSiK4LpdCuoyvtPjRFIXXXaEmc5YtuE5c8Au/BDU/AE3DFa/AI2OnKQNq44wLhXxTZ5/jr+G/nImdp"
    "SfM/02lsmp3etrl8aX/4fP4NlH/YZUAIPa9X9g+KJy/FuxOnOg3a9GzcKmd7PdYf9TerSVN2vTUfeffPCy2av9+5tnlFvsv6ODQajUaj0Wg0Go3m"
    "r/Eg/rIP+c/e7LDcuB+R7UdPl6/7X1uZF18vy08fi/e0ev8+jh3GqcfhArljeAKG6HVfDQXuetNjfLrXyzALXxDcfz0yca85nuDsTTpsOQaK+Wkg"
    "5ACKJiLy7USN9TKfyZbETtJY2odG39xtH5iNzY5pPAZpNbZUOeq3B6ZxhCaefZz3O0J8lvAgsWL3nEtHjdYZ8u2Z5WXSInk1vKzyxB7biW05InR5"
    "nPtQOD2LXcf2rEx4qS+9F9KXkZ97mucwsEpiYJXFwCqNgVUeA6tEBp5nMgw05pnrqACMdVld94QIiwb6dUONTqfXbAzyHf22Adl/ET0tUlJlKOSW"
    "HBgpYRgp1ZTtiDRQNi2j9/JB8l2FFg94ZCd8DG/P5h9ixqPYFQGwAikWaOUhW4OHjDCGSRnT2toGDFIOW9wBoEDJRrG+USZyDVZByBGBElIFZQyk"
    "qPB8fjjDXBhoRSINDbRYQJ2ejDx2IjdM5g5jFLkJh0kkfMiOnYjLyADj09TliSzPpLiLG3OlUUGKlHeVc1hTEeeXIfON26vQcYN0BpkPlQKtFUol"
    "PHFwVq0xWKWw292Bnb5pdncG1tb+dqPbbsIzArNaxaqUriZMXD+XtVqvUEbLdSKnvVkB/UVrNBqNRqPRaDQ38wPYbO7p"
)
"""pvcreate and vgcreate alone."""


def lay(path: Path, *, volumes: bool = True, rotten: int = 0) -> Path:
    """A disk with the group on it, in a file; `rotten`: the place of a byte that is another than was written."""
    content = bytearray(zlib.decompress(b64decode(_WITH_VOLUMES if volumes else _WITHOUT)))
    if rotten:
        content[rotten] ^= 0x5A
    with path.open("wb") as disk:
        disk.write(content)
        disk.truncate(_SIZE_BYTES)
    return path
