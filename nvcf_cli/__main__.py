"""`python -m nvcf_cli`: the same as `nvcf`."""

from nvcf_cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
