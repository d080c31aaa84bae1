"""Write what is generated, or compare it."""

import argparse
import sys

from reference import alerts, chart, commands, dashboard, fields, metrics, reasons, schemas, settings, version


def main() -> int:
    """Returns 1 when --check finds a file that is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m reference", description="Generated documentation.")
    parser.add_argument("--check", action="store_true", help="compare only")
    is_check = parser.parse_args().check
    pages = (commands, fields, metrics, reasons, settings)
    wanted = {
        **version.files(),
        **{each.PAGE: each.page() for each in pages},
        **schemas.files(),
        **alerts.files(),
        **dashboard.files(),
        **chart.files(),
    }
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if is_check:
            print(f"{path.relative_to(schemas.ROOT)} is not what `make reference` writes", file=sys.stderr)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path.relative_to(schemas.ROOT)}")
    return 1 if is_check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
