.PHONY: test
test: .venv/ready
	.venv/bin/python -m pytest -q tests

.venv/ready:
	command -v /usr/bin/python3 >/dev/null && /usr/bin/python3 -c 'import ensurepip' || (apt-get update && apt-get install -y python3-venv)
	/usr/bin/python3 -m venv .venv
	.venv/bin/pip install -q msgspec pytest
	touch $@
