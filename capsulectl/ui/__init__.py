"""`capsulectl ui`: a page in the operator's browser that shows a machine now and as it was, and can change nothing.

command.py is the verb. server.py answers the browser, door.py says whom; what it may ask the machine for stands in
reads.py and nowhere else. live.py follows the machine's streams, several as one by feed.py;
shapes.py says how the page is told. The page itself lies in page-files/: plain files, sent as they are by pages.py.
"""
