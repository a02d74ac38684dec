"""What nobody should type after a flag. All paths among it stay in the current folder."""

HOSTILE = [
    "", " ", "-", "--", "=", "-1", "0", "1e400", "nan", "-inf", "1e-400", "9" * 400, "0x10", "1_000",
    "٣", "²", "\0", "a\nb", "\x1b[2J", "\udcff", "../" * 2000, "[a", "%s%n", "{}", "None", "true",
    "1:2:3", "1-" + "9" * 30, "--flagfile=/bin/ls", "é" * 4096, "$(id)", "0|1-99999999999999999999",
]  # fmt: skip
