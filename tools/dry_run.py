"""Find out what ``wrangler deploy`` would upload, and how large that is, without deploying."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tools import CACHE, ROOT
from tools.toolchain import ToolError, run_wrangler
from tools.vendor import ensure_python_modules

CONFIG = ROOT / "wrangler.toml"


@dataclass(frozen=True)
class DryRun:
    """What a deployment would upload."""

    files: tuple[str, ...]
    """Paths as the Worker will see them; vendored packages lie under ``python_modules/``."""
    total_kib: float
    gzip_kib: float
    """The size that Cloudflare's limit is about."""
    folder: Path
    """Where the files were laid out."""


def dry_run(out_dir: Path = CACHE / "dry-run", config: Path = CONFIG) -> DryRun:
    """Run ``wrangler deploy --dry-run`` into *out_dir*, which is emptied first."""
    if config == CONFIG:
        ensure_python_modules()
    shutil.rmtree(out_dir, ignore_errors=True)
    files = out_dir / "files"
    output = run_wrangler(
        ["deploy", "--config", str(config), "--dry-run", "--outdir", str(files)],
        run=out_dir / "run",
        cwd=config.parent,
    )
    sizes = re.search(r"Total Upload: ([0-9.]+) KiB / gzip: ([0-9.]+) KiB", output)
    if sizes is None:
        raise ToolError(f"wrangler's dry run named no size:\n{output}")
    # wrangler puts a note of its own into the folder, which it does not upload.
    (files / "README.md").unlink(missing_ok=True)
    names = sorted(str(path.relative_to(files)) for path in files.rglob("*") if path.is_file())
    return DryRun(tuple(names), float(sizes[1]), float(sizes[2]), files)


def main() -> int:
    """Print our own files, a count of the vendored ones, and the size."""
    try:
        result = dry_run()
    except ToolError as error:
        print(f"dry_run: {error}", file=sys.stderr)
        return 1
    own = [name for name in result.files if not name.startswith("python_modules/")]
    print("\n".join(own))
    print(f"and {len(result.files) - len(own)} files of vendored packages")
    print(f"{result.total_kib:.0f} KiB, {result.gzip_kib:.0f} KiB compressed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
