"""What is shown of names and messages cannot steer a terminal, begin a formula or be a link."""
import re

import pytest
from comparing import EXACT

CELLS = '[sweep.S]\nkey = "sampler.steps"\nvalues = {{ "{}" = 2, b = 3 }}\n'


@pytest.mark.parametrize("name", ["a\\u001b[31m", "a\\u0000b", "a\\nb", "index.html", "a/b", ".hidden"])
def test_names_that_are_no_folders_are_refused(lab, name):
    assert "`name` is the name of a folder" in lab.wrong(EXACT.replace('"cmp"', f'"{name}"'))


@pytest.mark.parametrize("variant", ["report.html", "comparison.csv", "figures", "experiment.json"])
def test_variants_leave_the_files_of_results_their_names(lab, variant):
    assert "results have a file of that name" in lab.wrong(EXACT + f'[variants]\n"{variant}" = {{}}\n')


def test_control_characters_of_a_text_are_shown(lab):
    done = lab.run(EXACT.replace('name      = "cmp"', 'name = "cmp"\nquestion = "red \\u001b[31m alert \\u009b2J"'))
    assert "\x1b" not in done.stdout + done.stderr and "\x9b" not in done.stdout
    assert "\\x1b[31m alert \\x9b2J" in done.stdout


def test_labels_have_folders_of_their_own(lab):
    lab.run(EXACT + '[sweep.S]\nkey = "sampler.steps"\nvalues = { "a/b" = 2, "a_b" = 3, "a%2Fb" = 4, "' + "y" * 240 + 'A" = 5, "' + "y" * 240 + 'B" = 6 }\n')
    files = list((lab.results / "cmp").rglob("run.h5"))
    assert len(files) == 5 and len({f.parent for f in files}) == 5
    assert all(lab.results / "cmp" in f.parents for f in files)


def test_a_cell_of_a_table_is_no_formula(lab):
    lab.run(EXACT + CELLS.format("=1+1"))
    assert lab.call("report", "cmp").returncode == 0
    for text in (lab.call("export", "cmp").stdout, (lab.results / "cmp/comparison.csv").read_text()):
        cells = [c.strip('"') for line in text.splitlines() for c in line.split(",")]
        assert "'=1+1" in cells and not [c for c in cells if c.startswith(("=", "@"))]


def test_a_link_of_the_index_is_an_address_below_it(lab):
    for name in ("javascript:alert(1)", "a b"):
        lab.run(EXACT.replace('"cmp"', f'"{name}"'))
    assert lab.call("report", "javascript:alert(1)", "a b").returncode == 0
    links = re.findall(r'href="([^"]*)"', (lab.results / "index.html").read_text())
    assert links and all(link.startswith("./") for link in links), links
