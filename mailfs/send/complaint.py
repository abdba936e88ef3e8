"""What is told of mail that was refused, in the words of upas; send(8)."""

from collections.abc import Sequence

from mailfs.send.result import Result


def compose(sender: str, refused: Sequence[Result]) -> str:
    """Return the text for refusals, those with one reason together; no newline ends it.

    ::

        from 'glenda'
        to 'team' alias `local!nosuch'
        and 'other'
        failed with error 'unknown user'.
    """
    reasons: dict[tuple[str, str, int], list[Result]] = {}
    for result in refused:
        why = (result.text, result.program, result.status)
        reasons.setdefault(why, []).append(result)
    parts = []
    for (text, program, status), results in reasons.items():
        lines = [f"from '{sender}'"]
        for i, result in enumerate(results):
            alias = ""
            if result.address != result.recipient:
                alias = f" alias `{result.address}'"
            lines.append(f"{'and' if i else 'to'} '{result.recipient}'{alias}")
        lines.append(f"failed with error '{text}'.")
        if program and status:
            shown = f"{status & 0xFF:x}"
            lines.append(f"The mailer `{program}' returned error status {shown}.")
        parts.append("\n".join(lines))
    return "\n".join(parts)
