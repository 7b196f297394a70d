"""`python -m mdus` is the command `mdus`."""

from mdus.cli import main

if __name__ == "__main__":
    main()
