"""keepalived.conf as a language: words, definitions, conditions, repetitions, includes, blocks."""

from collections.abc import Sequence

import pytest

from standfest.config.keepalived.expand import Expander
from standfest.config.keepalived.load import read, settings_of
from standfest.config.keepalived.parse import parse
from standfest.config.keepalived.source import Limits, Report, Setting, TooMuchError
from standfest.config.keepalived.words import Brace, Word, escaped, plain, without_comment
from standfest.config.keepalived.write import write
from standfest.model.errors import ConfigError

SETTING = Setting("alpha", {"SITE": "munich"})


class MemoryFiles:
    """Files in a dictionary; a pattern ends with `*` or names a file."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def find(self, pattern: str, directory: str) -> Sequence[str]:
        path = pattern if pattern.startswith("/") else f"{directory}/{pattern}"
        if path.endswith("*"):
            return sorted(name for name in self.files if name.startswith(path[:-1]))
        return [path] if path in self.files else []

    def read(self, path: str) -> str:
        return self.files[path]


def lines(text: str, files: dict[str, str] | None = None, setting: Setting = SETTING) -> list[str]:
    """Return the lines that a text comes to; mistakes fail the test."""
    report = Report()
    expander = Expander(report, MemoryFiles(files or {}), setting)
    found = [line.text for line in expander.expand("/etc/k/k.conf", text)]
    assert report.errors == ()
    return found


def problems(text: str, setting: Setting = SETTING) -> list[str]:
    """Return what is wrong with a text, each as `LINE: problem; expected ...`."""
    report = parse(text, "k", setting).report
    return [str(finding).removeprefix("k:") for finding in report.findings]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("priority  100\t", [Word("priority"), Word("100")]),
        # keepalived 2.2.7 splits where a quote begins and ends, and knows no escape here.
        ('tok"4 5"6', [Word("tok"), Word("4 5", quoted=True), Word("6")]),
        ("'a b'", [Word("'a"), Word("b'")]),
        (r'"tok\t9"', [Word(r"tok\t9", quoted=True)]),
        ("vrrp_instance a{", [Word("vrrp_instance"), Word("a"), Brace("{")]),
        ("group {a}", [Word("group"), Brace("{"), Word("a"), Brace("}")]),
        ("router_id x${NAME}y", [Word("router_id"), Word("x${NAME}y")]),
        ('""', [Word("", quoted=True)]),
    ],
)
def test_words_are_split_as_keepalived_splits_them(line: str, words: list[Word | Brace]) -> None:
    assert list(plain(line)) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (r'script "/bin/x \"a b\" c"', ["script", '/bin/x "a b" c']),
        ("script '/bin/x a' user", ["script", "/bin/x a", "user"]),
        (r"regex \x41\102\tC\cA", ["regex", "AB\tC\x01"]),
        (r'script ab"c d"e', ["script", "abc de"]),
    ],
)
def test_commands_know_escapes_and_both_quotes(line: str, words: list[str]) -> None:
    assert [word.text for word in escaped(line) if isinstance(word, Word)] == words


def test_a_comment_begins_anywhere_but_in_double_quotes() -> None:
    assert without_comment("a 1 # b") == "a 1"
    assert without_comment("test!comment") == "test"
    assert without_comment('notify "x # ! y" # z') == 'notify "x # ! y"'


def test_a_condition_keeps_its_line_for_one_id_or_for_all_but_one() -> None:
    text = "@alpha a 1\n@beta b 2\n@^alpha c 3\n@^beta d 4\n@alpha\n@ e\n"
    assert lines(text) == ["a 1", "d 4"]


def test_a_parameter_is_replaced_when_it_is_used_not_when_it_is_defined() -> None:
    # The example of keepalived.conf(5), "Parameter substitution".
    text = (
        "$BASE=10.2.${SUB}\n$SUB=0\nx ${BASE}.100/32\n$SUB=10\nx ${BASE}.100/32\n"
        "y $SUB $SUBx ${NONE} a$SUB\n"
    )
    assert lines(text) == ["x 10.2.0.100/32", "x 10.2.10.100/32", "y 10 $SUBx ${NONE} a10"]


def test_a_definition_may_go_on_over_lines_and_hold_conditions_and_definitions() -> None:
    text = "$RS= \\\nr ${N} { \\\n@beta z \\\n$N=7 \\\nw ${N} \\\n}\n$N=1\n$RS\nq $RS\n$RS r\n"
    # A definition of several lines is used only as the last word of a line.
    assert lines(text) == ["r 1 {", "w 7", "}", "q r 7 {", "w 7", "}", "$RS r"]


def test_predefined_parameters_are_known() -> None:
    text = "a ${_INSTANCE} ${_PWD} ${_ENV SITE} ${_RANDOM 5 5}\nb x${_HASH}y\n"
    assert lines(text) == ["a alpha /etc/k munich 5", "b x"]


def test_random_numbers_are_the_same_for_the_same_seed() -> None:
    text = "random_seed 7\na ${_RANDOM} ${_RANDOM 1 6}\n"
    assert lines(text) == lines(text)


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("~SEQ(A, 0, 3) x$A", ["x0", "x1", "x2", "x3"]),
        ("~SEQ(A,3,1) x$A", ["x3", "x2", "x1"]),
        ("~SEQ(A,10,-5,0) x${A}", ["x10", "x5", "x0"]),
        ("~SEQ(A,2) x$A", ["x1", "x2"]),
        ("~SEQ(A,-2) x$A", ["x-1", "x-2"]),
        ("~SEQx(A, 0x90, 0x10, 0xb0) f:${A}:1", ["f:90:1", "f:a0:1", "f:b0:1"]),
        ("~SEQ ( A , 5 , 6 ) x$A", ["x5", "x6"]),
        ("~LST(A, 1, 2) ~LST(B,5,6) ${A}.${B}", ["1.5", "1.6", "2.5", "2.6"]),
        ("~LST({A, B}, {10,1},{20,4}) ${A}.${B}", ["10.1", "20.4"]),
        ("~LST({A},{x}) ~SEQ(C,8,2,10) ${A}${C}", ["x8", "x10"]),
    ],
)
def test_a_line_is_repeated_for_each_value(line: str, values: list[str]) -> None:
    assert lines(line) == values


@pytest.mark.parametrize(
    "line",
    ["~SEQ(A,5,0,7) x", "~SEQ(A) x", "~SEQ(1,2) x", "~SEQ(A,b) x", "~SEQ(A,1 x", "~LST(A) x"],
)
def test_a_repetition_that_is_none_is_a_mistake(line: str) -> None:
    assert problems(line)[0].startswith(f'1: "{line}" cannot be repeated; expected ')


def test_parameters_are_known_in_the_bounds_of_a_sequence() -> None:
    assert lines("$A=1\n$B=3\n~SEQ(X,$A,$B) v$X\n") == ["v1", "v2", "v3"]


def test_includes_are_relative_to_their_file_and_in_order() -> None:
    files = {
        "/etc/k/d/b.conf": "b ${X}\n",
        "/etc/k/d/a.conf": "$X=1\na\ninclude e\n",
        "/etc/k/d/e": "e\n",
    }
    assert lines("include d/*.conf\ninclude d/a*\ninclude d/b.conf\nz\n", files) == [
        'include "d/*.conf"',
        *("a", "e", "b 1", "z"),
    ]


def test_a_missing_include_is_a_warning_and_with_includea_an_error() -> None:
    assert problems("include no.conf\nincludea no.conf\nincluder no.conf\n") == [
        '1: warning: include "no.conf" names no file',
        '2: include "no.conf" names no file; expected a file, because missing ones were to be '
        "errors",
        '3: warning: include "no.conf" names no file',
    ]


def test_include_check_makes_missing_files_errors() -> None:
    text = "global_defs { include_check match\n}\ninclude no.conf\n"
    assert problems(text)[0].startswith('3: include "no.conf" names no file; expected')


def test_findings_in_an_included_file_name_it() -> None:
    files = MemoryFiles({"/etc/k/b.conf": "\nvrrp_instance x {\n weigth 5\n}\n"})
    report = parse("include b.conf\n", "/etc/k/k.conf", SETTING, files).report
    assert (report.findings[0].path, report.findings[0].line) == ("/etc/k/b.conf", 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("$A=$B $B\n$B=$A $A\nx $A\n", "3: parameters without end; expected at most 300"),
        ("$A= \\\n$A \\\n$A\n$A\n", "4: parameters without end; expected at most 300"),
        ("$A= \\\nx \\\n$A\n$A\n", "4: definitions are nested too deeply; expected at most 8"),
        ("~SEQ(A,1,500) ~SEQ(B,1,500) x\n", "1: the file expands too far; expected at most 900"),
        ("~SEQ(A,1,501) x\n", None),
        ("a {\n" * 9, "9: too many blocks in blocks; expected at most 8"),
    ],
)
def test_what_grows_without_end_is_refused(text: str, problem: str | None) -> None:
    limits = Limits(lines=900, line=4_096, replacements=300, depth=8, sequence=500)
    found = problems(text, Setting("alpha", {}, limits))
    expected = "1: " if problem is None else problem
    assert any(line.startswith(expected.partition(";")[0]) for line in found), found


def test_files_that_include_each_other_are_refused() -> None:
    files = MemoryFiles({"/etc/k/k.conf": "include k.conf\n"})
    report = Report()
    with pytest.raises(TooMuchError):
        list(Expander(report, files, SETTING).expand("/etc/k/k.conf", "include k.conf\n"))
    assert "files include each other" in str(report.findings[0])


def test_blocks_may_be_on_one_line_or_have_braces_of_their_own() -> None:
    one = "vrrp_script s { script /bin/true }\nvrrp_sync_group g { group { a b\nc } }\n"
    other = 'vrrp_script s\n{\nscript "/bin/true"\n}\nvrrp_sync_group g {\ngroup\n{\na b\nc\n}\n}\n'
    first, second = (parse(text, "k", SETTING) for text in (one, other))
    assert first.statements == second.statements


def test_a_missing_brace_is_told_where_the_next_block_begins() -> None:
    text = (
        "vrrp_instance a {\n virtual_router_id 5\n track_interface {\n eth0\n}\nvrrp_script s {\n"
    )
    text += " script /bin/true\n}\nvrrp_instance b {\n virtual_router_id 6\n}\n"
    assert problems(text) == [
        '6: "vrrp_script" inside "vrrp_instance", which begins in line 1; expected a "}" before it'
    ]


def test_a_brace_too_many_and_one_too_few_are_told() -> None:
    assert problems("}\n") == ['1: a "}" too many; expected no block is open here']
    assert problems("\nglobal_defs {\n") == [
        '2: the block of "global_defs" never ends; expected a "}"'
    ]


def test_an_open_quote_is_told() -> None:
    found = problems('global_defs {\n router_id "x\n}\n')
    assert found == ['2: a quote is not closed in "router_id "x"; expected another "']


def test_blanks_from_a_word_processor_are_told() -> None:
    found = problems("global_defs {\n router_id\xa0lb\n}\n")
    assert found == ["2: a blank is not an ordinary one (U+00A0); expected a blank or a tab"]


def test_an_undefined_parameter_is_told_where_it_would_fall_apart() -> None:
    found = problems("global_defs {\n router_id ${NAME}\n}\n")
    assert found == ['2: parameter "${NAME}" is not defined; expected a $NAME=... before']


def test_what_is_printed_says_the_same() -> None:
    text = (
        "$IF=eth0\nglobal_defs { router_id lb\n notification_email { a@b.c d@e.f\n} }\n"
        'vrrp_script s { script "/bin/x \'a b\' \\"c d\\"" }\n'
        "vrrp_instance a { interface $IF\n virtual_router_id 5\n"
        ' authentication { auth_type PASS\n auth_pass "a # b"\n }\n'
        " virtual_ipaddress { 10.0.0.1/24 dev $IF label eth0:1\n 10.0.0.2\n } }\n"
    )
    parsed = parse(text, "k", SETTING)
    assert write(parsed.statements) == (
        "global_defs {\n    router_id lb\n    notification_email {\n        a@b.c d@e.f\n    }\n}\n"
        "\nvrrp_script s {\n    script \"/bin/x 'a b' \\042c d\\042\"\n}\n"
        "\nvrrp_instance a {\n    interface eth0\n    virtual_router_id 5\n    authentication {\n"
        '        auth_type PASS\n        auth_pass "a # b"\n    }\n    virtual_ipaddress {\n'
        "        10.0.0.1/24 dev eth0 label eth0:1\n        10.0.0.2\n    }\n}\n"
    )
    assert parse(write(parsed.statements), "k", SETTING).statements == parsed.statements


def test_no_file_is_read_unless_it_is_given() -> None:
    found = parse("include /etc/passwd\n", "k", SETTING)
    assert [statement.keyword for statement in found.statements] == ["include"]


def test_an_unreadable_include_stops_the_reading() -> None:
    class Unreadable(MemoryFiles):
        def read(self, path: str) -> str:
            from standfest.model.errors import Finding

            raise ConfigError(Finding(path, 0, "Permission denied"))

    with pytest.raises(ConfigError, match="Permission denied"):
        parse("include a\n", "/k", SETTING, Unreadable({"//a": ""}))


def test_a_password_that_is_no_text_is_read_like_any_other() -> None:
    """$PASSWORD of an environment that is not UTF-8 comes as surrogates (PEP 383)."""
    text = (
        "vrrp_instance gw {\ninterface eth0\nvirtual_router_id 51\npriority 100\n"
        "authentication {\nauth_type PASS\nauth_pass ${_ENV PASSWORD}\n}\n"
        "virtual_ipaddress {\n10.0.0.1\n}\n}\n"
    )
    setting = Setting("host", {"PASSWORD": "\udcff1"})
    found = settings_of(read(text, "k.conf", setting)).director.instances[0]
    assert found.authentication.password == b"\xed\xb3\xbf1"


def test_an_instances_own_interface_is_not_tracked_too() -> None:
    """keepalived 2.2.7 ignores the line, and with it the weight: both sides must count alike."""
    text = (
        "vrrp_instance gw {\ninterface eth0\nvirtual_router_id 51\npriority 100\n"
        "track_interface {\neth0 weight 5\neth1 weight 7\n}\n"
        "virtual_ipaddress {\n10.0.0.1\n}\n}\n"
    )
    parsed = read(text, "k.conf", Setting("host"))
    tracks = settings_of(parsed).director.instances[0].tracks
    assert [(track.name, track.weight) for track in tracks] == [("eth1", 7)]
    said = [str(finding) for finding in parsed.report.findings if finding.line == 6]
    assert said == [
        "k.conf:6: warning: eth0 is the interface of the instance: not tracked, too; "
        "expected another one"
    ]
