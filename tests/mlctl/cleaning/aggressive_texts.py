"""Texts that are made to break fast paths: pieces with everything that is rare in a corpus, and pieces that are frequent."""

from __future__ import annotations

from hypothesis import strategies as st

_FREQUENT = [
    *(
        "a",
        "The house",
        "stands",
        " ",
        "12",
        "e.g.",
        "d'été",
        "Straße",
        "привет",
        "мир",
        "שלום",
        "مرحبا",
        "हिन्दी",
        "क्षि",
        "中文",
        "かな",
        "한국",
    ),
    *(", ", ". ", "!", "?", "-", "’", "“", "”", "«", "»", "—", "…", "•", "·"),
]
_RARE = [
    *(
        "",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\x00",
        "\x07",
        "\x1c",
        "\x7f",
        "\x85",
        "\x92",
        "\xa0",
        "\xad",
        "\u2003",
        "\u3000",
        "\u2028",
        "\ufeff",
        "\ufffd",
    ),
    *(
        "\u200b",
        "\u200c",
        "\u200d",
        "\u200e",
        "\u202e",
        "\u2060",
        "\u0301",
        "e\u0301",
        "\u0323\u0307",
        "\u1100\u1161",
        "\uac00\u11a8",
        "क़",
        "न\u093c",
    ),
    *(
        "Ã©",
        "Ãª",
        "â€™",
        "Â ",
        "Å“",
        "œ",
        "Œ ",
        "É",
        "À",
        "Ò-",
        "°",
        "Ù",
        "вЂ",
        "ã",
        "õ",
        "ø",
        "þ",
        "ð",
        "ÿ",
        "¿",
        "³",
        "½",
        "£",
        "€",
        "¬",
        "ª",
        "ƒ",
    ),
    *("😀", "👩\u200d💻", "🇫🇷", "\U0001d400", "𐍈", "ﬁ", "ａｂ", "Ⅷ", "①", "٣", "५", "三", "İ", "ı", "ſ", "K", "ß"),
    *(
        "&amp;",
        "& amp ;",
        "&#233;",
        "&x;",
        "R&D",
        "_F",
        "a_b",
        "E&xit",
        "%s",
        "%d%%",
        "{0}",
        "{{x}}",
        "${y}",
        "<b>",
        "</b>",
        "a < b",
        "<br/>",
        "\\n",
        "C:\\",
    ),
    *("http://a.bc/d", "WWW.x.org", "me@x.org", "a.txt", "x" * 300, "ж" * 80, "1" * 30, "!?!", "。", "؟", "۔", "||", "__"),
]

#: One side of a pair.
AGGRESSIVE = st.lists(
    st.sampled_from(_FREQUENT) | st.sampled_from(_RARE) | st.characters(exclude_categories=["Cs"]), max_size=12
).map("".join)
#: A side that could be in a corpus, with at most one rare piece.
NEARLY_PLAIN = st.tuples(
    st.lists(st.sampled_from(_FREQUENT), max_size=8), st.sampled_from(_RARE), st.lists(st.sampled_from(_FREQUENT), max_size=8)
).map(lambda parts: "".join(parts[0]) + parts[1] + "".join(parts[2]))
TEXTS = AGGRESSIVE | NEARLY_PLAIN
