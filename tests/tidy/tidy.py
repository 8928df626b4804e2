#!/usr/bin/env python3
"""Checks every file of the repository against tests/tidy/rules.py. Usage: tidy.py [repository root]

Files are those that git tracks or would track; without git (an unpacked archive), all outside build/.
"""

import os
import subprocess
import sys

from rules import RULES
from source import SourceFile


def repository_paths(root):
    try:
        listed = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True,
            capture_output=True,
        ).stdout.decode()
        return sorted(path for path in listed.split("\0") if os.path.isfile(os.path.join(root, path)))
    except (OSError, subprocess.CalledProcessError):
        return sorted(
            os.path.relpath(os.path.join(folder, name), root)
            for folder, _, names in os.walk(root)
            for name in names
            if not os.path.relpath(folder, root).startswith(("build", ".git" + os.sep))
        )


def check(file):
    """[(line, rule name, message)] of one SourceFile."""
    return sorted((line, name, message) for name, rule in RULES.items() for line, message in rule(file))


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.getcwd()
    num_files = 0
    num_findings = 0
    for path in repository_paths(root):
        with open(os.path.join(root, path), "rb") as stream:
            raw = stream.read()
        if b"\0" in raw:
            continue  # binary
        num_files += 1
        for line, name, message in check(SourceFile(path, raw.decode(errors="replace"))):
            num_findings += 1
            print(f"{path}:{line}: {name}: {message}")
    print(f"tidy: {num_files} files, {num_findings} findings")
    return 1 if num_findings or not num_files else 0


if __name__ == "__main__":
    sys.exit(main())
