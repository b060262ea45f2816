"""The service inside a Cloudflare Python Worker: what ``src/entry.py`` wires to the platform."""
