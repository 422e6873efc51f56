"""What a column of a table holds, told by its cells where `data.columns` does not say it.

number      most of its cells are numbers, plainly written, or all in one way such as $1,234.50, 1.234,5 or 25 %
date        days, or moments, in one of the usual ways to write them
boolean     two values such as true and false, yes and no
category    anything else, and whole numbers of at most 10 different values
drop        nothing that rows can be drawn of: empty, a number of a record, a text of its own in each row, an e-mail address, a
            telephone number or a person's name, which would be a real one
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Literal

from gan_core.kinds.schema import DType, Invented
from gan_core.written import NumberForm
from tasks.invented import in_words, invented
from tasks.people import manner_of
from tasks.sources.raw import safe_path
from tasks.validation.column_kinds import INVENTED, Asked, ColumnKind, InventedKind

MOST_CATEGORIES = 1_000
FEW_VALUES = 10
"""Whole numbers of at most so many different values are a category."""

_MOSTLY = 0.9  # share of a column's cells that have to be alike for the rest to be wrong
_EPOCH = date(1970, 1, 1).toordinal()
_LONGEST_DATE = 64  # characters; a cell may have millions, and there are dozens of forms to try
_INT64 = 2**63
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)")
_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_LEADING_ZERO = re.compile(r"[+-]?0\d")
_NOT_FINITE = {"nan", "inf", "infinity", "+inf", "-inf", "+infinity", "-infinity"}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]{2,}")
_PHONE = re.compile(r"(\+|00)?[\d(][\d ()/.-]{5,}\d")
_PERSON = re.compile(r"[^\W\d_][\w.'-]*( [^\W\d_][\w.'-]*){0,3}")
_NAME = re.compile(r"(.*[\s_-])?(?P<whose>full|first|last|sur|given|family|customer|user)?[\s_-]?name", re.IGNORECASE)
_ID_NAME = re.compile(r"(.*[\s_-])?(id|uuid|guid|key|index|nr|no|number)|.*[a-z](Id|ID|Nr|No|Key)", re.ASCII)

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y")
_TIMES = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f")
DATE_FORMATS = (*_DAYS, *(f"{day}{gap}{time}{zone}" for day in _DAYS[:6] for gap in (" ", "T") for time in _TIMES for zone in ("", "Z")))
"""Of strftime, in the order in which they are tried."""

_PAIRS = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"}, {"on", "off"})
"""What the two values of a boolean are, in lower case; 0 and 1 where `data.columns` says so."""
_A = {"email": "an e-mail address", "phone": "a telephone number"}
_EXAMPLES = 3  # that a message shows


@dataclass(frozen=True)
class Reading:
    """What a column is."""

    kind: ColumnKind
    dtype: DType = "string"
    format: str | None = None
    """How its cells are written, as `gan_core.kinds.schema.Column.format` has it."""
    note: str | None = None
    """What people should know of it."""
    parse: Callable[[Any], float | None] = lambda cell: None
    """Of a number or date, a cell's value; None where it is none."""
    suggested: InventedKind | None = None
    """Of a column that is left out, what could be invented in its place."""
    invented: Invented | None = None
    """Of one that is invented, what is kept of it; without its place."""

    @property
    def is_measured(self) -> bool:
        """Whether its values are numbers, not choices."""
        return self.kind in ("number", "date")

    @property
    def asked(self) -> Asked:
        """As `data.columns` would say it."""
        return Asked(self.kind, self.format if self.kind == "date" else None)


def read_column(name: str, cells: Sequence[Any], decimal: str | None, asked: Asked | None = None) -> Reading:
    """What a column is.

    Args:
        name: of the column.
        cells: of each whole row, None where it is missing.
        decimal: the mark before decimals, "." or ","; None: as the numbers show.
        asked: what the entry says that it is; None: its cells tell.

    Raises:
        ValueError: it is not what the entry says; begins with what it is said to be.
    """
    counts = Counter((type(cell), cell) for cell in cells if cell is not None)
    values = [value for _, value in counts]
    total = sum(counts.values())
    if not total:
        return Reading("drop", note="it is empty in every row")

    def share(is_alike: Callable[[Any], bool]) -> float:
        return sum(count for (_, value), count in counts.items() if is_alike(value)) / total

    if asked is not None:
        if asked.kind in INVENTED:
            return _as_invented(name, asked, values, total, len(cells), share)
        return _as_asked(asked, values, share, decimal)
    if (found := _dates(values, share, DATE_FORMATS)) is not None:
        return found
    if (personal := _personal(share)) is not None:
        what = {"email": "e-mail addresses", "phone": "telephone numbers"}[personal]
        return Reading(
            "drop", note=f"it holds {what}, and what is drawn would be a real one; {personal} invents others", suggested=personal
        )
    number = _number_of(values, share, decimal)
    if number is not None:
        whole = number.dtype == "int64"
        if whole and len(values) == total and _is_id(name, [number.parse(value) or 0.0 for value in values]):
            return Reading("drop", note="it numbers the rows, and there is nothing to learn in it; id draws new ones", suggested="id")
        if not whole or number.format is not None or len({number.parse(value) for value in values}) > FEW_VALUES:
            return number
        return Reading("category", _category_type(values))
    shares = f"({len(values):,} different ones in {total:,})"
    is_many = len(values) > FEW_VALUES
    named = _NAME.fullmatch(name) if share(lambda value: isinstance(value, str) and bool(_PERSON.fullmatch(value))) >= _MOSTLY else None
    are_people = manner_of([value for value in values if isinstance(value, str)]) is not None or bool(named and named["whose"])
    is_own = len(values) > MOST_CATEGORIES or (is_many and 2 * len(values) > total)
    if is_many and (are_people or (is_own and named)):
        note = f"it holds names of people {shares}, and what is drawn would be a real one; name invents others"
        return Reading("drop", note=note + ("" if is_own else "; if they are none, write category"), suggested="name")
    if is_own:
        if any(" " in str(value) for value in values):
            return Reading("drop", note=f"it holds a text of its own in most rows {shares}")
        is_told = len(values) >= _MOSTLY * total
        note = f"it holds an id, another one in most rows {shares}" + ("; id draws new ones" if is_told else "")
        return Reading("drop", note=note, suggested="id" if is_told else None)
    drawn = "real ones are drawn; if they are people's, name invents others" if are_people or (is_many and named) else None
    return Reading("boolean" if _is_pair(values, _PAIRS) else "category", _category_type(values), note=drawn)


def _as_asked(asked: Asked, values: Sequence[Any], share: Callable[[Callable[[Any], bool]], float], decimal: str | None) -> Reading:
    """What the entry says that a column of these different values is; raises ValueError where it is not."""
    if asked.kind == "category":
        return Reading("category", _category_type(values))
    if asked.kind == "boolean":
        if len(values) > 2 or not (_is_pair(values, (*_PAIRS, {"0", "1"})) or len(values) == 1):
            raise ValueError(f"a boolean, and it holds {_shown(values)}; write category")
        return Reading("boolean", _category_type(values))
    if asked.kind == "number":
        found, is_read = _number_of(values, share, decimal), _is_some_number
    else:
        found = _dates(values, share, DATE_FORMATS if asked.format is None else (asked.format,))
        is_read = partial(_is_some_date, DATE_FORMATS if asked.format is None else (asked.format,))
    if found is None:
        wrong = [value for value in values if not is_read(value)] or values
        hint = " or with its format, such as `date %d/%m/%Y`" if str(asked) == "date" else ""
        raise ValueError(f"a {asked}, and it holds {_shown(wrong)}; write category{hint}, or drop")
    return found


def _as_invented(
    name: str, asked: Asked, values: Sequence[Any], total: int, rows: int, share: Callable[[Callable[[Any], bool]], float]
) -> Reading:
    """What the entry says that is invented; raises ValueError where the column is not of that kind."""
    if asked.kind == "id" and len(values) < _MOSTLY * total:
        raise ValueError(f"an id, and its values repeat ({len(values):,} different ones in {total:,}); write category, or drop")
    pattern = {"email": _EMAIL, "phone": _PHONE}.get(asked.kind)
    if pattern is not None and share(lambda value: bool(pattern.fullmatch(str(value)))) < _MOSTLY:
        wrong = [value for value in values if not pattern.fullmatch(str(value))]
        raise ValueError(f"{_A[asked.kind]}, and it holds {_shown(wrong)}; write id, or drop")
    found = invented(name, asked.kind, values, missing=round(1 - total / rows, 6))
    return Reading(asked.kind, found.dtype, note=in_words(found, len(values)), invented=found)


def _is_pair(values: Sequence[Any], pairs: Iterable[set[str]]) -> bool:
    return len(values) == 2 and {str(value).lower() for value in values} in pairs


def _shown(values: Sequence[Any]) -> str:
    rest = len(values) - _EXAMPLES
    texts = [safe_path(str(value)[:40]) for value in values[:_EXAMPLES]]
    return ", ".join(map(repr, texts)) + (f" and {rest:,} more" if rest > 0 else "")


def _is_some_number(value: Any) -> bool:
    forms = NumberForm.candidates([value], None) if isinstance(value, str) else ()
    return _plain(value) is not None or any(form.read(value) is not None for form in forms)


def _is_some_date(forms: Sequence[str], value: Any) -> bool:
    return isinstance(value, date) or any(_dated(form, value) is not None for form in forms)


def _category_type(values: Sequence[Any]) -> DType:
    if all(isinstance(value, bool) for value in values):
        return "bool"
    # Text is exact, however many digits there are.
    return "int64" if all(map(is_whole, values)) and all(abs(int(value)) < _INT64 for value in values) else "string"


def is_whole(value: Any) -> bool:
    """Whether a cell is a whole number, plainly written."""
    return bool(_WHOLE.fullmatch(value)) if isinstance(value, str) else isinstance(value, int) and not isinstance(value, bool)


def is_plain_number(text: str) -> bool:
    """Whether a text is a number as programs write it."""
    return bool(_NUMBER.fullmatch(text))


def _number_of(values: Sequence[Any], share: Callable[[Callable[[Any], bool]], float], decimal: str | None) -> Reading | None:
    """The column as numbers, plain ones or all in one form; None where it holds others."""
    texts = [value for value in values if isinstance(value, str)]
    if any(_LEADING_ZERO.match(text) and not re.match(r"[+-]?0[.,]", text) for text in texts):
        return None  # postcodes
    if decimal != "," and share(partial(_is_read, _plain)) >= _MOSTLY:
        numbers = [value for value in values if _plain(value) is not None]
        return Reading("number", "int64" if all(map(is_whole, numbers)) else "float64", parse=_plain)
    for form in NumberForm.candidates(texts, decimal):
        parse = partial(_formed, form)
        if share(partial(_is_read, parse)) < _MOSTLY:
            continue
        example = next(text for text in texts if parse(text) is not None)
        whole = all(number is None or number.is_integer() for number in map(parse, values)) and form.is_whole(texts)
        note = f"{example!r} is {parse(example):.12g}"
        if form.is_ambiguous(texts):
            other = "," if form.decimal == "." else "."
            note += f'; if the {form.name_of(other)} stands before decimals, set data.decimal: "{other}"'
        return Reading("number", "int64" if whole else "float64", form.as_in(texts).example, note, parse)
    return None


def _is_read(parse: Callable[[Any], float | None], value: Any) -> bool:
    return parse(value) is not None


def _plain(value: Any) -> float | None:
    """A cell as a number, finite or not; None where it is none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float | Decimal):
        return float(value)
    if not isinstance(value, str):
        return None
    return float(value) if _NUMBER.fullmatch(value) or value.lower() in _NOT_FINITE else None


def _formed(form: NumberForm, value: Any) -> float | None:
    return form.read(value) if isinstance(value, str) else _plain(value)


def _dates(values: Sequence[Any], share: Callable[[Callable[[Any], bool]], float], forms: Sequence[str]) -> Reading | None:
    """The column as days or moments, texts of them in one of these forms; None where it holds others."""
    if share(lambda value: isinstance(value, date)) >= _MOSTLY:  # a datetime is a date too
        moments = any(isinstance(value, datetime) for value in values)
        zoned = any(isinstance(value, datetime) and value.tzinfo is not None for value in values)
        note = "moments with a time zone are read, and drawn, as UTC" if zoned else None
        return Reading("date", "datetime" if moments else "date", note=note, parse=_seconds if moments else _days)
    first = next((value for value in values if isinstance(value, str)), "")
    fitting = [form for form in forms if _dated(form, first) is not None]
    if not fitting:  # the first one may be wrong
        fitting = [form for form in forms if any(_dated(form, value) is not None for value in values[1:20])]
    for form in fitting:
        parse = partial(_dated, form)
        if share(partial(_is_read, parse)) < _MOSTLY:
            continue
        others = [one for one in fitting if one != form and all(_dated(one, value) is not None for value in values)]
        note = f"{first!r} is {form}" + (f"; all of them fit {others[0]} too: if it is that, write `date {others[0]}`" if others else "")
        return Reading("date", "datetime" if "%H" in form else "date", form, note, parse)
    return None


def _dated(form: str, value: Any) -> float | None:
    """A text as days since 1970, or seconds where the form has a time."""
    if not isinstance(value, str) or len(value) > _LONGEST_DATE or not any(character.isdigit() for character in value):
        return None
    try:
        moment = datetime.strptime(value, form)
    except ValueError:
        return None
    return _seconds(moment) if "%H" in form else _days(moment)


def _days(value: Any) -> float | None:
    return float(value.toordinal() - _EPOCH) if isinstance(value, date) else None


def _seconds(value: Any) -> float | None:
    if not isinstance(value, date):
        return None
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _personal(share: Callable[[Callable[[Any], bool]], float]) -> Literal["email", "phone"] | None:
    def matches(pattern: re.Pattern[str]) -> bool:
        return share(lambda value: isinstance(value, str) and bool(pattern.fullmatch(value))) >= _MOSTLY

    if matches(_EMAIL):
        return "email"
    # Digits in groups, as no number is written.
    if matches(_PHONE) and share(lambda value: sum(map(str.isdigit, value)) >= 7 and not is_plain_number(value)) >= _MOSTLY:
        return "phone"
    return None


def _is_id(name: str, numbers: Sequence[float]) -> bool:
    """Of different whole numbers, one a row, whether they number the rows: one after another, or by their name."""
    return len(numbers) > FEW_VALUES and (max(numbers) - min(numbers) == len(numbers) - 1 or bool(_ID_NAME.fullmatch(name)))
