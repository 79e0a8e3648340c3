"""Take the reports as they are now for right: ``python -m tests.accept_reports``; then read what has changed."""

import sys
import tempfile
from pathlib import Path

from tests.report_cases import CASES, GOLD, gold_texts


def main() -> None:
    """Write all gold files anew and name those that changed."""
    GOLD.mkdir(exist_ok=True)
    for name in CASES:
        with tempfile.TemporaryDirectory() as directory:
            for file, text in gold_texts(name, Path(directory)).items():
                path = GOLD / file
                if not path.exists() or path.read_text(encoding="utf-8") != text:
                    path.write_text(text, encoding="utf-8")
                    sys.stdout.write(f"{path.name} has changed\n")


if __name__ == "__main__":
    main()
