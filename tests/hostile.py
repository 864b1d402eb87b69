"""Texts from outside that have broken programs like this one. Every channel and page must take each of them anywhere."""

HOSTILE = {
    "empty-looking": " \t\u200b\u00a0 ",
    "line breaks": "first\r\nBcc: eve@evil.test\r\n\r\nbody\nsecond\x0b\x0c\x85\u2028\u2029third",
    "nul and controls": "a\x00b\x01\x08\x1b[31mred\x7f\x9f",
    "slot": "\x00headers\x00\n\x00foot\x00\n",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;\"'</h1></table></body>",
    "slack": "<!channel> <@U123> <https://evil.test|runbell.test> *bold* `code` ~x~ &lt;",
    "braces": "{n} {0} {secret!r} %s %(x)s ${HOME} {{x}}",
    "encoded word": "=?utf-8?q?=0D=0ABcc=3A_eve=40evil=2Etest?=",
    "boundary": "--=_runbell--\r\n--=_runbell\r\nContent-Type: text/html\r\n\r\n=_runbell",
    "dots": ".\r\n.\r\n..\r\nQUIT",
    "quoted printable": "50 % =3D = off=\r\n a=\nb",
    "long": "x" * 500,
    "long words": "ж" * 500,
    "one long line": "word " * 2_000,
    "emoji": "🔥👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿é́́́́́" * 20,
    "right to left": "مرحبا build שלום 123",
    "overrides": "\u202egnp.exe\u202c \u2066a\u2069 \u200fb",
    "lone surrogate": "a\ud800b\udfff",
    "cyrillic": "Ночная сборка «Витрина» № 5",
    "only breaks": "\n\n\n",
}
