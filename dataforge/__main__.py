"""`python -m dataforge`: the command line."""

from dataforge.cli import main

if __name__ == "__main__":
    main()
