"""From the bytes of a CSV file to rows of cells: encoding, delimiter, header, shape. Knows no device."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from credentials.spreadsheet import unguarded
from devices.inventory.columns import InventoryError, check_header, known_columns, shown

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_ROWS: Final = 200_000
_DELIMITERS: Final = (",", ";", "\t")
_DELIMITER_WORDS: Final = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
_SAVE_AS: Final = 'Save it as "CSV UTF-8" in the spreadsheet'
_QUOTE_HINT: Final = 'perhaps a quotation mark (") is missing'


@dataclass(slots=True)
class CsvRow:
    """One row: where it begins and ends, its cells by column, what is wrong with its shape."""

    line: int
    last_line: int
    cells: list[str]
    problems: list[str] = field(default_factory=list)
    whole: bool = True
    """The cells are as many as the columns, so that they can be told apart."""

    @property
    def span(self) -> str:
        """A remark where the row has more than one line, which is seldom meant."""
        if self.last_line == self.line:
            return ""
        return f"; the row runs over lines {self.line} to {self.last_line}, {_QUOTE_HINT}"


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file whose header is right."""

    columns: tuple[str, ...]
    rows: list[CsvRow]
    delimiter: str


def read_csv(data: bytes) -> CsvFile:
    """Read an inventory; raises InventoryError where the file as a whole cannot be used.

    What is wrong with single rows (their shape, a name that comes twice) is noted on the row.
    """
    text = _decoded(data)
    delimiter = _delimiter(text)
    records = _records(text, delimiter)
    header, header_line = _header(records)
    columns = check_header(header, header_line)
    rows: list[CsvRow] = []
    for cells, line, last_line, problem in records:
        if not any(cells) and not problem:
            continue
        if len(rows) == MAX_ROWS:
            raise InventoryError(f"The file has more than {MAX_ROWS:,} rows; split it.")
        rows.append(_row(cells, line, last_line, problem, columns, delimiter))
    if not rows:
        raise InventoryError("The file has a header and no device below it.")
    _note_duplicates(rows, columns.index("name"))
    return CsvFile(columns, rows, delimiter)


def _decoded(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise InventoryError(f"The file is larger than {MAX_BYTES // 1024 // 1024} MiB; split it.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InventoryError(f"The file is UTF-16, not UTF-8 (byte 0x{data[0]:02X} at offset 0). {_SAVE_AS}.")
    if data.startswith(b"PK\x03\x04"):
        raise InventoryError(f"The file is a workbook or a zip archive, not CSV. {_SAVE_AS}.")
    try:
        return data.decode("utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InventoryError(
            f"The file is not UTF-8: byte 0x{data[error.start]:02X} at offset {error.start}, in line {line}. "
            f"{_SAVE_AS}, or convert it: iconv -f WINDOWS-1252 -t UTF-8."
        ) from error


def _delimiter(text: str) -> str:
    """A comma, unless the header names more of our columns (two at least) when read another way."""
    header = next((line for line in io.StringIO(text, newline="") if line.strip(" \t,;\r\n")), "")[:10_000]
    found = {d: known_columns(next(csv.reader([header], delimiter=d), [])) for d in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda d: found[d])
    return best if found[best] >= 2 else ","


def _header(records: Iterator[tuple[list[str], int, int, str]]) -> tuple[list[str], int]:
    """The cells of the first line that holds anything, and its number."""
    for cells, line, _, problem in records:
        if problem:
            raise InventoryError(f"The header in line {line} {problem}.")
        if not any(cells):
            continue
        if any("\x00" in cell for cell in cells):
            raise InventoryError(f"The header in line {line} holds NUL bytes: this is no UTF-8 text. {_SAVE_AS}.")
        while not cells[-1]:
            cells.pop()
        return cells, line
    raise InventoryError("The file is empty: a header and at least one device are needed.")


def _records(text: str, delimiter: str) -> Iterator[tuple[list[str], int, int, str]]:
    """Cells, first line, last line, and what the CSV syntax has against each record."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # At the end of the file everything from here on was swallowed: no row after it can be trusted.
            if "unexpected end" in str(error):
                raise InventoryError(f"A quotation mark that opens in line {line} is never closed.") from error
            if "field larger" in str(error):
                limit = f"{csv.field_size_limit():,} characters"
                raise InventoryError(f"A cell in line {line} is longer than {limit}; {_QUOTE_HINT}.") from error
            yield [], line, reader.line_num, f"is no well-formed CSV ({error}); {_QUOTE_HINT}"
            continue
        yield [cell.strip() for cell in cells], line, reader.line_num, ""


def _row(cells: list[str], line: int, last_line: int, problem: str, columns: tuple[str, ...], delimiter: str) -> CsvRow:
    while len(cells) > len(columns) and not cells[-1]:
        cells.pop()
    row = CsvRow(line, last_line, cells)
    if problem:
        row.problems.append(f"the row {problem}{row.span}")
        row.whole = False
    elif len(cells) != len(columns):
        row.whole = False
        row.problems.append(f"{len(cells)} cells, but the header has {len(columns)} columns")
        if len(cells) > len(columns):
            row.problems[-1] += f"; a cell with {_DELIMITER_WORDS[delimiter]} in it must stand in quotation marks"
        row.problems[-1] += row.span
    else:
        # Tags are guarded one by one, so their cell is left to those who split it.
        row.cells = [c if key == "tags" else unguarded(c).strip() for key, c in zip(columns, cells, strict=True)]
    return row


def _note_duplicates(rows: list[CsvRow], at: int) -> None:
    """Mark every row whose name, whatever its case, comes more than once."""
    by_name: defaultdict[str, list[CsvRow]] = defaultdict(list)
    for row in rows:
        if row.whole and row.cells[at]:
            by_name[row.cells[at].casefold()].append(row)
    for same in by_name.values():
        if len(same) == 1:
            continue
        lines = [row.line for row in same]
        for row in same:
            others = [str(line) for line in lines[:6] if line != row.line][:5]
            more = f" and {len(lines) - 1 - len(others):,} more" if len(lines) - 1 > len(others) else ""
            spelled = "" if len({other.cells[at] for other in same}) == 1 else ", spelled with other capitals"
            row.problems.append(
                f"name: {shown(row.cells[at])} in line {row.line} is also in line {', '.join(others)}{more}{spelled}"
            )
