"""Public names for rules of risk: distances of stops and targets.

A field of one of these types reads a share of a price (`4%`), a distance in the quote currency that
is read when the entry is decided (`3 * atr_14`), or a multiple of R (`2R`), the distance of the
position's first fill from its first stop. A step asks for both: the field's name is the share, and
the name with ``_amount`` behind it the distance; one of the two is 0, or NaN while it is unknown.

`break_even_price` is the price at which a position closes at zero after its fees.
"""

from septet._kernel.match import break_even_price
from septet_schemas.position import Away, AwayOrZero, Distance, StopAway

__all__ = ["Away", "AwayOrZero", "Distance", "StopAway", "break_even_price"]
