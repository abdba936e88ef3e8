"""How many descriptors the process may have."""

import resource

ENOUGH = 1 << 17  # more is of no use, and programs that we start inherit the limit


def raise_limit(enough: int = ENOUGH) -> int:
    """Raise the soft limit of descriptors as far as the hard one lets; return it.

    The soft limit is 1,024 by default for the sake of select(2), which we do not use.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return enough
    most = enough if hard == resource.RLIM_INFINITY else min(hard, enough)
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft
