"""From the body of a request to rows: CSV, JSON and JSON lines."""

from __future__ import annotations

import base64
import codecs
import contextlib
import csv
import io
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fraud_utils.artifact import MISSING, Layout, RowError, header_of
from fraud_utils.serving.answers import CSV, JSON, JSON_LINES, MEDIA, RequestError

ARROW_BYTES = 1 << 16  # larger CSV bodies are worth Arrow's parser
PIECE_BYTES = 1 << 20  # of a long CSV body, for one core at a time
LINE_END, QUOTE, BRACKET, BOM = re.compile(b"\n"), re.compile(b'"'), re.compile(rb"\("), b"\xef\xbb\xbf"
# What Arrow understands, and is a mistake for Python's reader: a return that ends a row, a quote before or after which
# a value goes on. Possessive, so that no body takes more than one look at each byte.
BARE_RETURN = re.compile(rb"\r(?!\n)")
WELL_QUOTED = re.compile(rb'(?:[^"]*+(?<![^,\r\n])"(?:[^"]++|"")*+"(?![^,\r\n]))*+[^"]*+')  # all of a body
WORDY_NAN = re.compile(rb"nan\(", re.IGNORECASE)  # of C's spellings, one that Python does not read
csv.field_size_limit(sys.maxsize)  # of a value: the size of a body is limited already
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


BASE64 = (
    "the body is base64; send the text that it stands for, as it is (the AWS command line does with a file: "
    "--body fileb://rows.csv)"
)

type Body = bytes | memoryview


def media_of(headers: Mapping[str, str]) -> str:
    """The media type of a request's body.

    Raises
    ------
    RequestError
        It is not one that is served.
    """
    coding = headers.get("content-encoding") or "identity"
    if coding.strip().lower() != "identity":
        raise RequestError(415, f"Content-Encoding {coding[:60]!r} is not served; send the body as it is")
    given = headers.get("content-type") or ""
    media, *parameters = (part.strip() for part in given.lower().split(";"))
    if media not in MEDIA:
        raise RequestError(415, f"Content-Type {media[:60]!r} is not served; send {CSV}, {JSON} or {JSON_LINES}")
    for parameter in parameters:
        name, _, value = (word.strip().strip('"') for word in parameter.partition("="))
        if name == "charset" and value not in ("utf-8", "utf8", "us-ascii", "ascii"):
            raise RequestError(415, f"charset {value[:60]!r} is not served; send UTF-8")
        if name == "label_size" and value not in ("0", "1"):  # AWS's container takes 1, and rows without labels
            raise RequestError(415, f"label_size={value[:60]} is not served; send rows without a label")
    return MEDIA[media]


def check_header(body: Body, layout: Layout) -> None:
    """Refuse the header of a batch transform's CSV that is not that of rows without names.

    A file that is split is sent in several requests, and only the first of them has its header.

    Raises
    ------
    RequestError
        It has other columns, or another order.
    """
    names, start = _csv_columns(body, layout)
    if start and names != layout.columns:
        raise RequestError(
            400,
            "the header's columns are not in the order in which rows are read once the file has been split: "
            f"{', '.join(layout.columns)}; write the file in this order, without the label",
        )


def named(body: Body, media: str, layout: Layout) -> Sequence[str]:
    """The columns of a CSV body; nothing of JSON, where each row has names of its own."""
    return _csv_columns(body, layout)[0] if media == CSV else ()


def is_base64(body: Body) -> bool:
    """Whether a body is the base64 of CSV or JSON."""
    begin = bytes(body[:400]).strip().partition(b"\n")[0].strip(b'"\r')
    if not re.fullmatch(rb"[A-Za-z0-9+/]{12,}={0,2}", begin):
        return False
    try:
        text = base64.b64decode(begin[: len(begin) // 4 * 4]).decode()
    except ValueError:
        return False
    return ("," in text or "{" in text) and text.replace("\n", "").replace("\r", "").isprintable()


def parse(body: Body, media: str, layout: Layout) -> Any:
    """Turn a body into rows as `Model.score` takes them.

    Raises
    ------
    RequestError, RowError
        The body is not what its content type says.
    """
    if media == CSV:
        names, start = _rows_of(body, layout)
        return _csv_rows(body[start:], names, layout)
    body = bytes(body)
    if media == JSON:
        document = _json(body, "the body")
        if not isinstance(document, dict) or not isinstance(document.get("instances"), list):
            raise RequestError(400, 'the body must be {"instances": [...]}, a list of objects or lists')
        return document["instances"]
    lines = [line for line in body.split(b"\n") if line.strip()]
    return [_json(line, f"row {number}") for number, line in enumerate(lines, 1)]


def each_piece[T](
    body: Body, layout: Layout, use: Callable[[Any, int], tuple[int, T]], size: int = PIECE_BYTES
) -> Iterator[tuple[int, T]]:
    """What `use` makes of a long CSV body, piece by piece, all cores at work on it.

    On two cores 100,000 rows (53 MB) are scored in .20 s, and in .30 s in one piece (tests/bench/bench_serving.py). To
    begin while the body still arrives would save at most the .03 s that it takes to arrive.

    Parameters
    ----------
    body : bytes or memoryview
    layout : Layout
    use : callable
        From rows, and how many came before them, to their number and anything.
    size : int
        About how many bytes a piece has.

    Raises
    ------
    RequestError, RowError
        The first row that cannot be used.
    """
    names, start = _rows_of(body, layout)
    quoted = bool(QUOTE.search(body))

    def fast(piece: slice) -> tuple[int, T] | None:
        # Not all rows that Arrow or `use` refuse are wrong, and messages count rows from the top: see below.
        with contextlib.suppress(RowError):
            rows = _arrow_rows(body[piece], names, layout, quoted)
            return None if rows is None else use(rows, 0)
        return None

    pool = ThreadPoolExecutor(CORES)
    try:
        count = 0
        pieces = _cut(body, start, len(body) if quoted else size)  # between quotes, a line's end is no row's
        for piece, done in [(piece, pool.submit(fast, piece)) for piece in pieces]:
            rows, made = done.result() or use(_csv_rows(body[piece], names, layout, count), count)
            count += rows
            yield rows, made
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _cut(body: Body, start: int, size: int) -> Iterator[slice]:
    """Pieces of whole lines, of about that size; at least one, for its names to be checked."""
    end = -1
    while end < len(body):
        line_end = LINE_END.search(body, start + size)
        end = line_end.end() if line_end else len(body)
        yield slice(start, end)
        start = end


def _arrow_rows(piece: Body, names: Sequence[str], layout: Layout, quoted: bool) -> dict[str, Any] | None:
    """Columns of CSV rows, five times as fast as `_csv_rows`; None where Arrow does not understand them."""
    import pyarrow
    from pyarrow import csv as arrow_csv

    if BARE_RETURN.search(piece) or (quoted and not WELL_QUOTED.fullmatch(piece)):
        return None
    if piece[: len(BOM)] == BOM or (BRACKET.search(piece) and WORDY_NAN.search(piece)):
        return None
    try:
        codecs.utf_8_decode(piece, "strict", True)  # Arrow looks at columns that are wanted alone
    except UnicodeDecodeError:
        return None
    texts = layout.features.categories
    wanted = [name for name in names if name in layout.features.raw or name == layout.id]
    types = {name: pyarrow.string() if name in texts or name == layout.id else pyarrow.float64() for name in wanted}
    # Looking for every spelling of a missing number costs a tenth more time: so only once there must be another.
    for missing in ([*MISSING],) if texts else ([""], [*MISSING]):
        with contextlib.suppress(pyarrow.ArrowInvalid):
            table = arrow_csv.read_csv(
                pyarrow.py_buffer(piece),
                read_options=arrow_csv.ReadOptions(
                    column_names=list(names), use_threads=False, block_size=len(piece) + 1
                ),
                parse_options=arrow_csv.ParseOptions(quote_char='"' if quoted else False),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=types, include_columns=wanted, null_values=missing, strings_can_be_null=True
                ),
            )
            if layout.id in types and table[layout.id].null_count:
                return None  # what looks like a missing value is an id like any other
            # Columns that the model does not use need no values, but their names are checked.
            unused = {name: np.empty(0) for name in names if name not in types}
            return {name: table[name].to_numpy() for name in wanted} | unused
    return None


def _json(text: bytes, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"{where} is not JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        name, count = Counter(name for name, _ in pairs).most_common(1)[0]
        raise RequestError(400, f"{name[:60]!r} appears {count} times in one JSON object")
    return values


def _csv_rows(body: Body, names: Sequence[str], layout: Layout, first: int = 0) -> dict[str, Any]:
    """Columns of CSV rows; `first` is how many rows came before these."""
    try:
        text = bytes(body).decode()
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the body is not UTF-8: {error}") from None
    table = []
    for number, row in enumerate(_csv_lines(text), first + 1):
        if len(row) != len(names):
            raise RequestError(400, f"row {number} has {len(row)} values; expected {len(names)}, as in the first line")
        table.append(row)
    columns: dict[str, Any] = dict(zip(names, zip(*table, strict=True) if table else [()] * len(names), strict=True))
    plain = "_" not in text  # Python reads 1_000 as a number; CSV does not
    for name in layout.features.raw:
        if name in columns and name in layout.features.categories:
            columns[name] = [None if text in MISSING else text for text in columns[name]]
        elif name in columns:
            try:
                columns[name] = list(map(float, columns[name])) if plain else _csv_numbers(name, columns[name], first)
            except ValueError:
                columns[name] = _csv_numbers(name, columns[name], first)
    return columns


def _csv_lines(text: str) -> Iterator[list[str]]:
    try:
        yield from (row for row in csv.reader(io.StringIO(text), strict=True) if row)
    except csv.Error as error:
        raise RequestError(400, f"the body is not CSV: {error}") from None


def _csv_numbers(name: str, values: Sequence[str], first: int) -> list[float]:
    """A column's values one by one: some spellings mean a missing one; names the first that is not a number."""
    numbers = []
    for row, text in enumerate(values, first + 1):
        try:
            numbers.append(np.nan if text.strip() in MISSING else float(text.replace("_", "?")))
        except ValueError:
            raise RequestError(400, f"row {row}, column {name!r}: text where a number is needed") from None
    return numbers


def _rows_of(body: Body, layout: Layout) -> tuple[tuple[str, ...], int]:
    """The columns' names, and where the rows begin: after a header, or a byte order mark."""
    names, start = _csv_columns(body, layout)
    return names, start or (len(BOM) if body[: len(BOM)] == BOM else 0)


def _csv_columns(body: Body, layout: Layout) -> tuple[tuple[str, ...], int]:
    """The columns' names, and where the rows begin: after the first line if that is a header."""
    begin = re.search(rb"[^\r\n]", body)
    if not begin:
        raise RequestError(400, "the body is empty")
    line_end = LINE_END.search(body, begin.start())
    end = line_end.end() if line_end else len(body)
    try:
        first = next(_csv_lines(bytes(body[begin.start() : end]).decode("utf-8-sig")), [])
    except UnicodeDecodeError as error:
        raise RequestError(400, f"the body is not UTF-8: {error}") from None
    if not first:
        raise RequestError(400, "the first line holds a byte order mark and no more")
    names = header_of(first, layout)
    if names is None:
        return layout.names_of(len(first), 1), 0
    if len(names) == 1 < len(layout.columns) and (other := re.search(r"[;\t|]", names[0])):
        raise RequestError(400, f"values are separated by {other.group()!r}; separate them by commas")
    for name, count in Counter(names).most_common(1):
        if count > 1:
            raise RequestError(400, f"column {name[:60]!r} appears {count} times in the header")
    return names, end
