"""The answer for a path that was asked for so many times."""


def said(path: str, times: int) -> str:
    return f"{path} was asked for once\n" if times == 1 else f"{path} was asked for {times} times\n"
