"""``webhook``, but SQLite syncs less than it should: what a check of the syncs has to notice."""

from __future__ import annotations

import sys

from webhook.adapters.sqlite import create_sqlite_webhook_persistence
from webhook.cli import main

if __name__ == "__main__":
    defaults = create_sqlite_webhook_persistence.__kwdefaults__ or {}
    assert defaults["synchronous"] == "FULL"
    defaults["synchronous"] = sys.argv.pop(1)
    main()
