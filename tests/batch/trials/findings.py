"""What a trial finds wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Findings"]


@dataclass
class Findings:
    """What must not be."""

    wrong: list[str] = field(default_factory=list[str])

    def check(self, good: bool, said: str) -> None:
        """Note something, unless it is good."""
        if not good:
            self.wrong.append(said)

    def tell(self) -> int:
        """Print what was found. Returns the exit status."""
        for said in self.wrong:
            print(f"WRONG: {said}")
        print(f"{len(self.wrong)} things are wrong" if self.wrong else "all is well")
        return 1 if self.wrong else 0
