"""One wrong character in a good manifest: it is found, at its line; or what is written still means something, and is accepted.

What may be accepted is decided by rule: a number that is still a number; a word or a plugin's name that is another one's; free text and labels.
"""

import json
import random
import re
import tomllib
from concurrent.futures import ThreadPoolExecutor

import pytest
from program import GOOD, scorelab

MANIFESTS = ("exact-slots", "trained-levels", "trained-ode")
COUNT = 210
TOKENS = re.compile(r"""(?P<text>"[^"]*") | (?P<key>[A-Za-z_][A-Za-z_0-9]*)(?=\s*=) | (?P<header>(?<=^\[)[a-z]+(?=\]$)) | (?P<number>[-+]?\d[\d_.eE+-]*) | (?P<flag>true|false)""", re.X)
FREE = re.compile(r'\s*(name|question)\s*=')
LABELS = {"far", "near", "nll"}


def tokens(line):
    code = line.split("#")[0] if '"' not in line else line
    return [m for m in TOKENS.finditer(code)]


def mutate(text, rng):
    """(text with one character changed, the line's number, the token's kind, what the token is now)"""
    lines = text.split("\n")
    places = [(i, m) for i, line in enumerate(lines) for m in tokens(line)]
    i, m = rng.choice(places)
    kind, line = m.lastgroup, lines[i]
    inside = (m.start() + 1, m.end() - 1) if kind == "text" else m.span()
    at = rng.randrange(*inside)
    alphabet = "0123456789.-" if kind == "number" else "abcdefghijklmnopqrstuvwxyz"
    how = rng.choice(["replace", "insert", "delete"])
    new = rng.choice([c for c in alphabet if c != line[at]])
    lines[i] = line[:at] + {"replace": new + line[at + 1:], "insert": new + line[at:], "delete": line[at + 1:]}[how]
    return "\n".join(lines), i + 1, kind, lines[i][inside[0]:inside[1] + len(lines[i]) - len(line)]


@pytest.fixture(scope="module")
def vocabulary():
    words, keys = set(), {"name", "question", "seeds", "plugins", "dataset", "scheduler", "network", "output", "objective", "train", "sampler", "sample", "metrics", "run", "plugin"}
    for what in ("", "output", "train", "sample", "run"):
        listed = json.loads(scorelab("list", *([what] if what else []), "--json").stdout)
        for plugin in listed.get("plugins", [{"name": "", "schema": {"params": listed.get("parameters")}}]):
            words.add(plugin["name"])
            for p in plugin["schema"]["params"]:
                keys.add(p["name"])
                words.update(p.get("words", []))
    return words, keys


def may_be_accepted(kind, now, line, vocabulary):
    words, keys = vocabulary
    if kind == "number":
        return True
    if kind == "text":
        return now in words or bool(FREE.match(line))
    return now in keys or now in LABELS or any(abs(len(now) - len(label)) <= 1 and sum(a != b for a, b in zip(now, label)) <= 1 for label in LABELS) and "metrics" in line


@pytest.fixture(scope="module")
def mutants(tmp_path_factory):
    rng, folder, cases = random.Random(20210501), tmp_path_factory.mktemp("mutants"), []
    for n in range(COUNT):
        text = (GOOD / f"{MANIFESTS[n % len(MANIFESTS)]}.toml").read_text()
        cases.append((folder / f"m{n}.toml", *mutate(text, rng)))

    def check(case):
        case[0].write_text(case[1])
        return scorelab("check", case[0].name, "--json", cwd=folder)

    with ThreadPoolExecutor(2) as pool:
        return list(zip(cases, pool.map(check, cases)))


def test_rejected_or_meaningful(mutants, vocabulary):
    wrong, rejected = [], 0
    for (file, text, number, kind, now), done in mutants:
        line = text.split("\n")[number - 1]
        where = f"{file.name}:{number}: {line}"
        try:
            tomllib.loads(text)
            toml = True
        except tomllib.TOMLDecodeError:
            toml = False
        if done.returncode not in (0, 2) or done.stderr:
            wrong.append(f"exit {done.returncode} {done.stderr!r}: {where}")
        elif done.returncode == 0 and not (toml and may_be_accepted(kind, now, line, vocabulary)):
            wrong.append(f"accepted: {where}")
        rejected += done.returncode == 2
    assert not wrong, "\n".join(wrong)
    assert rejected >= COUNT / 2


def problems(mutants):
    """(where it was mutated, its line, the problems) of the rejected ones. That parameters do not go together is said at the plugin: no line is to blame."""
    for (file, text, number, *_), done in mutants:
        found = json.loads(done.stdout)["problems"]
        if found and not all("do not go together" in p["message"] for p in found):
            yield f"{file.name}:{number}: " + text.split("\n")[number - 1], number, found


def test_the_line_is_named(mutants):
    missed = [where for where, number, found in problems(mutants) if number not in [p["line"] for p in found]]
    assert len(missed) <= 0.02 * sum(1 for _ in problems(mutants)), "\n".join(missed)


def test_the_line_is_named_first(mutants):
    missed = [where for where, number, found in problems(mutants) if found[0]["line"] != number]
    assert len(missed) <= 0.02 * sum(1 for _ in problems(mutants)), "\n".join(missed)


@pytest.mark.parametrize("manifest", sorted(GOOD.glob("*.toml")), ids=lambda m: m.stem)
def test_good(manifest):
    done = scorelab("check", manifest.name, cwd=GOOD)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{manifest.name}: no problems\n", "")
