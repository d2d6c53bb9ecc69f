"""References as text and as BibTeX."""

from coordinator.report.references import Bibliography, parse_reference


def test_a_citation_in_one_line_becomes_bibtex():
    work = parse_reference(
        "Ma, He, Li. Segment anything in medical images. Nature Communications 15, 654 (2024). doi 10.1038/s41467-024-44824-z"
    )

    assert work.bibtex == (
        "@misc{ma2024,\n  author = {Ma and He and Li},\n  title = {Segment anything in medical images},\n"
        "  howpublished = {Nature Communications 15, 654},\n  year = {2024},\n  doi = {10.1038/s41467-024-44824-z},\n}\n"
    )


def test_a_citation_that_cannot_be_taken_apart_is_kept_whole():
    assert parse_reference("ACME & friends, personal communication").bibtex == (
        "@misc{acme,\n  note = {ACME \\& friends, personal communication},\n}\n"
    )


def test_two_works_never_share_a_key():
    cited = Bibliography()

    assert (
        cited.cite("Ma, He. One thing to read. Here (2024)", "Ma, Li. Another thing to read. There (2024)") == " [1, 2]"
    )
    assert cited.cite("Ma, He. One thing  to read. Here (2024)") == " [1]"
    assert [work.key for work in cited.references] == ["ma2024", "ma2024b"]
