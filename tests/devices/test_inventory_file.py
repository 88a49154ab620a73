"""Reading the CSV file itself: encoding, header, shape, cells. No database."""

import pytest

from credentials.spreadsheet import guarded, unguarded
from devices.inventory.cells import join_tags, parse_port, split_tags
from devices.inventory.columns import InventoryError
from devices.inventory.reader import read_csv

HEADER = "name,host,port,platform,tags\n"
ROW = "sw1,10.0.0.1,22,cisco_ios,core\n"


def problems(text: str) -> dict[int, list[str]]:
    return {row.line: row.problems for row in read_csv(text.encode()).rows if row.problems}


def refused(data: bytes | str) -> str:
    with pytest.raises(InventoryError) as caught:
        read_csv(data.encode() if isinstance(data, str) else data)
    return str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        "name,host,port,platform,tags,aaa_domain",
        "\ufeffname,host,port,platform,tags,aaa_domain",
        " Name , HOST,Port,platform,Tags,AAA Domain",
        '"name","host","port","platform","tags","AAA-domain"',
        "name,host,port,platform,tags,aaa_domain,,",
    ],
)
def test_a_header_is_read_whatever_its_case_spaces_and_byte_order_mark(header):
    file = read_csv(f"{header}\nsw1,10.0.0.1,22,cisco_ios,core,lab\n".encode())
    assert file.columns == ("name", "host", "port", "platform", "tags", "aaa_domain")
    assert file.rows[0].cells == ["sw1", "10.0.0.1", "22", "cisco_ios", "core", "lab"]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_another_delimiter_is_used_when_the_header_has_it(delimiter):
    lines = [HEADER.strip().split(","), ["sw1", "10.0.0.1", "22", "cisco_ios", '"core;edge"']]
    file = read_csv("\n".join(delimiter.join(line) for line in lines).encode())
    assert file.delimiter == delimiter
    assert file.rows[0].cells == ["sw1", "10.0.0.1", "22", "cisco_ios", "core;edge"]


def test_semicolons_between_tags_do_not_make_the_delimiter():
    assert read_csv((HEADER + "sw1,10.0.0.1,22,cisco_ios,a;b;c;d;e\n").encode()).rows[0].cells[4] == "a;b;c;d;e"


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_line_ending_is_understood(ending):
    file = read_csv((HEADER + ROW).replace("\n", ending).encode())
    assert [(row.line, row.cells[0]) for row in file.rows] == [(2, "sw1")]


def test_blank_lines_are_skipped_and_line_numbers_kept():
    file = read_csv(f"\n\n{HEADER}\n,,,,\n   \n{ROW}".encode())
    assert [(row.line, row.cells[0]) for row in file.rows] == [(7, "sw1")]


def test_unknown_and_missing_columns_are_named_together_with_the_nearest_one():
    message = refused("name,hots,device_type,port,tags\nx,y,z,1,t\n")
    assert "unknown column 'hots' (did you mean 'host'?), 'device_type' (did you mean 'platform'?)" in message
    assert "missing column 'host', 'platform'" in message
    assert "Optional: transport, site" in message


def test_a_column_that_stands_twice_is_named():
    assert "'host' stands there twice" in refused("name,host,Host,port,platform,tags\n")


def test_a_column_without_a_name_is_counted():
    assert "column 2 has no name" in refused("name,,host,port,platform,tags\n")


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b" \r\n,,,\r\n"])
def test_an_empty_file_is_refused(data):
    assert "empty" in refused(data)


def test_a_header_alone_is_refused():
    assert "no device" in refused(HEADER + "\n\n")


def test_another_encoding_names_the_byte_its_offset_and_what_to_save_as():
    text = HEADER + ROW + "sw2,10.0.0.2,22,cisco_ios,Zürich\n"
    data = text.encode("latin-1")
    message = refused(data)
    assert f"byte 0xFC at offset {data.index(0xFC)}, in line 3" in message
    assert "CSV UTF-8" in message


def test_utf16_is_named():
    assert "UTF-16" in refused((HEADER + ROW).encode("utf-16"))


def test_utf16_without_its_mark_is_refused_for_its_nul_bytes():
    assert "NUL" in refused((HEADER + ROW).encode("utf-16-le"))


def test_a_workbook_is_named():
    assert "workbook" in refused(b"PK\x03\x04\x14\x00\x06\x00")


def test_too_many_cells_name_both_counts_and_empty_ones_at_the_end_are_let_go():
    found = problems(HEADER + "sw1,10.0.0.1,22,cisco_ios,core,edge\nsw2,10.0.0.2,22,cisco_ios,core,,\n")
    assert list(found) == [2]
    assert "6 cells, but the header has 5 columns" in found[2][0]
    assert "a comma" in found[2][0]


def test_too_few_cells_are_wrong_because_an_empty_cell_means_something():
    assert "4 cells, but the header has 5 columns" in problems(HEADER + "sw1,10.0.0.1,22,cisco_ios\n")[2][0]


def test_a_name_that_comes_twice_names_both_lines_on_both_rows_whatever_its_case():
    found = problems(HEADER + ROW + "other,10.0.0.9,22,cisco_ios,core\n" + ROW.replace("sw1", "SW1"))
    assert found == {
        2: ["name: 'sw1' in line 2 is also in line 4, spelled with other capitals"],
        4: ["name: 'SW1' in line 4 is also in line 2, spelled with other capitals"],
    }


def test_a_name_that_comes_very_often_does_not_list_every_line():
    found = problems(HEADER + ROW * 50)
    assert found[2] == ["name: 'sw1' in line 2 is also in line 3, 4, 5, 6, 7 and 44 more"]


def test_a_quote_that_is_never_closed_refuses_the_file_with_its_line():
    assert "line 3 is never closed" in refused(HEADER + ROW + 'sw2,"10.0.0.2,22,cisco_ios,core\n' + ROW)


def test_a_row_with_the_wrong_number_of_cells_tells_which_lines_it_runs_over():
    found = problems(HEADER + 'sw1,10.0.0.1,22,"cisco_ios,core\nsw2",10.0.0.2,22,cisco_ios,edge\n')
    assert "the row runs over lines 2 to 3" in found[2][0]


def test_text_after_a_closing_quote_is_wrong_for_its_row_alone():
    text = HEADER + '"sw1"x,10.0.0.1,22,cisco_ios,core\n' + ROW
    assert list(problems(text)) == [2]
    assert read_csv(text.encode()).rows[1].cells[0] == "sw1"


def test_a_cell_beyond_every_measure_is_refused_with_its_line():
    assert "line 2 is longer than" in refused(HEADER + "x" * 200_000 + ",h,22,cisco_ios,\n")


def test_too_many_rows_are_refused(monkeypatch):
    monkeypatch.setattr("devices.inventory.reader.MAX_ROWS", 2)
    assert "more than 2 rows" in refused(HEADER + ROW * 3)


def test_a_file_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("devices.inventory.reader.MAX_BYTES", 10)
    assert "larger than" in refused(HEADER)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "'=1", "''=1", "-x", "@a", "+1", "'", "''", "'abc", "abc", "", "=", "＝1", "a=b", "'-", "''''+"],
)
def test_a_guarded_cell_gives_back_what_was_stored(text):
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in ("=", "-", "+", "@", "＝")


def test_a_formula_that_nobody_guarded_is_data():
    assert unguarded("=cmd|' /C calc'!A0") == "=cmd|' /C calc'!A0"


@pytest.mark.parametrize(
    "tags",
    [["a"], [], ["a b", "c"], ["a;b", "c"], ['say "x"', '"'], ["=1", "-2;x", "'=3"], ["a,b"], ["é", "z"]],
)
def test_tags_survive_one_cell(tags):
    assert sorted(split_tags(join_tags(tags))) == sorted(tags)


def test_tags_are_stripped_and_empty_and_repeated_ones_dropped():
    assert split_tags(" core ;; site a;Core ; ") == ["core", "site a"]


def test_tags_with_an_open_quote_are_refused():
    with pytest.raises(ValueError, match="quotation marks"):
        split_tags('a;"b')


@pytest.mark.parametrize(("cell", "port"), [("22", 22), ("0022", 22), ("65535", 65535)])
def test_a_port_is_a_whole_number(cell, port):
    assert parse_port(cell) == port


@pytest.mark.parametrize("cell", ["0", "65536", "-1", "22.0", "ssh", "２２", "²", "2 2", "9" * 6000, "+22", "1e3"])
def test_what_is_no_port_is_none(cell):
    assert parse_port(cell) is None
