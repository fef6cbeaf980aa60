"""What is said to whoever asks for a path."""


def greeting(path: str) -> str:
    name = path.lstrip("/")
    return f"hello, {name}\n" if name else "hello\n"
