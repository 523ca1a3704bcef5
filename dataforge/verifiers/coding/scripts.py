"""Exercises in which a script is to be written that reads stdin and prints. The solutions use `input` and `print` alone."""

from __future__ import annotations

import random

from dataforge.verifiers.coding.exercise import WORDS, Exercise, written


def _listed(numbers: list[int]) -> str:
    return f"{len(numbers)}\n{' '.join(map(str, numbers))}\n"


def _ints(rng: random.Random, low: int, high: int, most: int, least: int = 1) -> list[int]:
    return [rng.randint(low, high) for _ in range(rng.randint(least, most))]


def sum_of_multiples(rng: random.Random) -> Exercise:
    by = rng.randint(2, 6)
    inputs = [_listed([1, 2, 3, 4, 5, 6, 12]), _listed([0]), _listed([-by, by, by]), _listed([7, 11, 13])]
    inputs += [_listed(_ints(rng, -50, 50, 12, 4)) for _ in range(3)]
    return written(
        f"""The first line holds a whole number n, the second n whole numbers separated by spaces. Print the sum of those that are divisible
        by {by}; print 0 if there are none.""",
        f"""
        n = int(input())
        numbers = list(map(int, input().split()))
        total = 0
        for number in numbers:
            if number % {by} == 0:
                total += number
        print(total)
        """,
        inputs,
    )


def fizz(rng: random.Random) -> Exercise:
    a, b = rng.sample([2, 3, 4, 5, 7], 2)
    first, second = (word.capitalize() for word in rng.sample(WORDS, 2))
    inputs = [f"{n}\n" for n in (1, 6, a * b, a * b + rng.randint(1, 9), rng.randint(10, 40))]
    return written(
        f"""Read a whole number n. For each number from 1 to n print one line: `{first}` if it is divisible by {a}, `{second}` if it is divisible
        by {b}, `{first}{second}` if it is divisible by both, and otherwise the number itself.""",
        f"""
        n = int(input())
        for number in range(1, n + 1):
            word = ""
            if number % {a} == 0:
                word += "{first}"
            if number % {b} == 0:
                word += "{second}"
            print(word or number)
        """,
        inputs,
    )


def ranking(rng: random.Random) -> Exercise:
    best, order = rng.choice([("highest", "-score"), ("lowest", "score")])

    def drawn(n: int) -> str:
        rows = [f"{name} {rng.randint(0, 9)}" for name in rng.sample(WORDS, n)]
        return f"{n}\n" + "\n".join(rows) + "\n"

    inputs = [
        "3\nriver 5\namber 7\ncedar 5\n",
        "1\nocean 0\n",
        "2\nstone 4\nmaple 4\n",
        *(drawn(n) for n in (4, 6, 8)),
    ]
    return written(
        f"""The first line holds n. Each of the n lines behind it holds a name and a score, a whole number, separated by a space. Print one line for
        each, `place. name score`, with places from 1, the {best} score first and equal scores in alphabetical order of the
        names.""",
        f"""
        n = int(input())
        rows = []
        for _ in range(n):
            name, score = input().split()
            score = int(score)
            rows.append(({order}, name, score))
        rows.sort()
        place = 1
        for _, name, score in rows:
            print(f"{{place}}. {{name}} {{score}}")
            place += 1
        """,
        inputs,
    )


def grid_paths(rng: random.Random) -> Exercise:
    mark = rng.choice("#xX*")

    def drawn(rows: int, columns: int) -> str:
        grid = [[mark if rng.random() < 0.2 else "." for _ in range(columns)] for _ in range(rows)]
        grid[0][0] = grid[-1][-1] = "."
        return f"{rows} {columns}\n" + "\n".join("".join(row) for row in grid) + "\n"

    inputs = [
        "2 3\n...\n...\n",
        "1 1\n.\n",
        f"2 2\n.{mark}\n{mark}.\n",
        f"3 3\n...\n.{mark}.\n...\n",
        *(drawn(rng.randint(3, 6), rng.randint(3, 6)) for _ in range(3)),
    ]
    return written(
        f"""The first line holds the numbers of rows and columns of a grid, then come its rows: `.` is free and `{mark}` is blocked. Print in how many
        ways one gets from the upper left to the lower right corner over free cells, moving only right and down. Both corners are free.""",
        f"""
        rows, columns = map(int, input().split())
        ways = [0] * columns
        ways[0] = 1
        for r in range(rows):
            line = input()
            for c in range(columns):
                if line[c] == "{mark}":
                    ways[c] = 0
                elif c > 0:
                    ways[c] += ways[c - 1]
        print(ways[columns - 1])
        """,
        inputs,
    )


def bill(rng: random.Random) -> Exercise:
    percent, above = rng.choice([5, 10, 20, 25]), rng.choice([20, 50, 100])

    def drawn(n: int) -> str:
        while True:
            rows = [(rng.choice(WORDS), rng.randint(1, 6), rng.randint(100, 4099)) for _ in range(n)]
            # No half cents: whether they are rounded up is a question of arithmetic that the statement does not ask.
            if sum(count * cents for _, count, cents in rows) * (100 - percent) % 100 != 50:
                lines = [f"{name} {count} {cents // 100}.{cents % 100:02d}" for name, count, cents in rows]
                return "\n".join([str(n), *lines]) + "\n"

    inputs = [
        "2\ntulip 3 1.50\nlemon 1 0.25\n",
        "0\n",
        f"1\npearl 1 {above}.00\n",
        f"1\npearl 1 {above}.04\n",
        *(drawn(n) for n in (2, 4, 5)),
    ]
    return written(
        f"""The first line holds n. Each of the n lines behind it holds an article, how many of it are bought, and its price with two decimals, separated by
        spaces. Print the total with two decimals. If it is more than {above}, {percent} percent are taken off first.""",
        f"""
        n = int(input())
        total = 0.0
        for _ in range(n):
            article, count, price = input().split()
            total += int(count) * float(price)
        if round(total, 2) > {above}:
            total = total * (100 - {percent}) / 100
        print(f"{{total:.2f}}")
        """,
        inputs,
    )


def depths(rng: random.Random) -> Exercise:
    opening, closing = rng.choice([("(", ")"), ("[", "]"), ("{", "}"), ("<", ">")])

    def drawn() -> str:
        depth, out = 0, ""
        for _ in range(rng.randint(4, 16)):
            if depth and rng.random() < 0.5:
                out, depth = out + closing, depth - 1
            else:
                out, depth = out + opening, depth + 1
        return out + closing * depth

    pair = opening + closing
    inputs = [f"3\n{pair}\n{opening}{pair}{closing}\n{pair}{pair}\n", f"1\n{opening * 5}{closing * 5}\n"]
    inputs += ["4\n" + "\n".join(drawn() for _ in range(4)) + "\n" for _ in range(3)]
    return written(
        f"""The first line holds n, and each of the n lines behind it a balanced text of `{opening}` and `{closing}`. For each, print the
        greatest depth of its nesting and the number of its pairs, separated by a space.""",
        f"""
        n = int(input())
        for _ in range(n):
            text = input()
            depth = 0
            greatest = 0
            for character in text:
                if character == "{opening}":
                    depth += 1
                    greatest = max(greatest, depth)
                else:
                    depth -= 1
            print(greatest, len(text) // 2)
        """,
        inputs,
    )


def change(rng: random.Random) -> Exercise:
    coins = (
        sorted(rng.sample([2, 3, 4, 5, 7, 10, 20, 25], 3))
        if rng.random() < 0.5
        else [1, *sorted(rng.sample([3, 4, 6, 7, 9], 2))]
    )
    listed = ", ".join(map(str, coins[:-1])) + f" and {coins[-1]}"
    inputs = [f"{n}\n" for n in (12, 0, 1, 23, *(rng.randint(20, 200) for _ in range(4)))]
    return written(
        f"""There are coins of {listed}, as many as one likes of each. Read an amount, a whole number that is not negative, and print the
        least number of coins that add up to exactly that, or -1 if that cannot be done.""",
        f"""
        amount = int(input())
        best = [0] + [None] * amount
        for total in range(1, amount + 1):
            for coin in {coins!r}:
                if coin <= total and best[total - coin] is not None:
                    if best[total] is None or best[total - coin] + 1 < best[total]:
                        best[total] = best[total - coin] + 1
        print(-1 if best[amount] is None else best[amount])
        """,
        inputs,
    )


def maze(rng: random.Random) -> Exercise:
    diagonal = rng.random() < 0.4
    moves = "to any of the eight neighbouring cells" if diagonal else "up, down, left and right"
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)] + ([(1, 1), (1, -1), (-1, 1), (-1, -1)] if diagonal else [])

    def drawn(rows: int, columns: int) -> str:
        grid = [["#" if rng.random() < 0.3 else "." for _ in range(columns)] for _ in range(rows)]
        grid[0][0], grid[-1][-1] = "S", "E"
        return f"{rows} {columns}\n" + "\n".join("".join(row) for row in grid) + "\n"

    inputs = [
        "3 3\nS..\n##.\nE..\n",
        "1 2\nSE\n",
        "2 2\nS#\n#E\n",
        *(drawn(rng.randint(3, 6), rng.randint(3, 6)) for _ in range(4)),
    ]
    return written(
        f"""The first line holds the numbers of rows and columns of a maze, then come its rows: `S` is the start, `E` the end, `#` a wall and `.` free. One moves
        {moves}. Print the least number of moves from start to end, or -1 if there is no way.""",
        f"""
        rows, columns = map(int, input().split())
        maze = [input() for _ in range(rows)]
        start = [(r, c) for r in range(rows) for c in range(columns) if maze[r][c] == "S"][0]
        distance = {{start: 0}}
        queue = [start]
        answer = -1
        for r, c in queue:
            if maze[r][c] == "E":
                answer = distance[r, c]
                break
            for down, right in {steps!r}:
                cell = (r + down, c + right)
                if 0 <= cell[0] < rows and 0 <= cell[1] < columns:
                    if maze[cell[0]][cell[1]] != "#" and cell not in distance:
                        distance[cell] = distance[r, c] + 1
                        queue.append(cell)
        print(answer)
        """,
        inputs,
    )


def durations(rng: random.Random) -> Exercise:
    unit, divide = rng.choice(
        [("minutes", "minutes"), ("hours and minutes as `H:MM`", 'f"{minutes // 60}:{minutes % 60:02d}"')]
    )

    def drawn() -> str:
        return " ".join(f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}" for _ in range(2))

    inputs = [
        "2\n09:30 11:05\n23:50 00:10\n",
        "1\n12:00 12:00\n",
        *("3\n" + "\n".join(drawn() for _ in range(3)) + "\n" for _ in range(3)),
    ]
    return written(
        f"""The first line holds n, and each of the n lines behind it two times of day `HH:MM HH:MM`. Print for each how long it is from the first to the second,
        in {unit}. If the second is earlier than the first, it is on the next day; if they are equal, the answer is 0.""",
        f"""
        n = int(input())
        for _ in range(n):
            begin, end = input().split()
            minutes = 0
            for time, sign in ((end, 1), (begin, -1)):
                hour, minute = time.split(":")
                minutes += sign * (int(hour) * 60 + int(minute))
            minutes %= 24 * 60
            print({divide})
        """,
        inputs,
    )


def ledger(rng: random.Random) -> Exercise:
    credit = rng.choice([0, 50, 100])
    refusal = rng.choice(["refused", "DENIED", "not possible"])
    rule = "below 0" if credit == 0 else f"below -{credit}"

    def drawn(n: int) -> str:
        rows = [f"{rng.choice('+-')} {rng.randint(1, 120)}" for _ in range(n)]
        return f"{n}\n" + "\n".join(rows) + "\n"

    inputs = [
        "3\n+ 30\n- 20\n- 200\n",
        f"1\n- {credit + 1}\n",
        f"2\n+ 1\n- {credit + 1}\n",
        "0\n",
        *(drawn(n) for n in (4, 6, 9)),
    ]
    return written(
        f"""An account begins with 0. The first line holds n, and each of the n lines behind it `+ amount` or `- amount` with a positive
        whole number. A withdrawal that would bring the account {rule} does not happen, and `{refusal}` is printed for it. At the end print
        the balance.""",
        f"""
        n = int(input())
        balance = 0
        for _ in range(n):
            kind, amount = input().split()
            amount = int(amount)
            if kind == "+":
                balance += amount
            elif balance - amount < -{credit}:
                print("{refusal}")
            else:
                balance -= amount
        print(balance)
        """,
        inputs,
    )


def primes(rng: random.Random) -> Exercise:
    digit = rng.choice([1, 3, 7, 9])
    limit = rng.choice([200, 500, 1000])
    inputs = [f"2\n1 30\n{digit} {digit}\n"] + [
        "3\n"
        + "".join(f"{low} {rng.randint(low, limit)}\n" for low in (rng.randint(1, limit) for _ in range(3)))
        for _ in range(4)
    ]
    return written(
        f"""The first line holds q, and each of the q lines behind it two whole numbers from 1 to {limit}, the first not greater than the second. For each, print
        how many prime numbers from the first to the second, both included, end in the digit {digit}.""",
        f"""
        q = int(input())
        for _ in range(q):
            low, high = map(int, input().split())
            count = 0
            for number in range(max(low, 2), high + 1):
                if number % 10 == {digit} and all(number % d for d in range(2, int(number ** 0.5) + 1)):
                    count += 1
            print(count)
        """,
        inputs,
    )


def averages(rng: random.Random) -> Exercise:
    places = rng.randint(3, 5)

    def drawn() -> str:
        while True:
            numbers = _ints(rng, -40, 40, 9, 3)
            sums = (sum(numbers), sum(number * number for number in numbers))
            # No halves of the last decimal, see `bill`.
            if all(
                total * 10**places * 2 % len(numbers) or not total * 10**places % len(numbers)
                for total in sums
            ):
                return _listed(numbers)

    inputs = [
        _listed([1, 2, 4]),
        _listed([5]),
        _listed([-3, 3]),
        *(drawn() for _ in range(3)),
    ]
    return written(
        f"""The first line holds n, at least 1, the second n whole numbers. Print their mean and, on a second line, the mean of their squares, each with
        {places} decimals.""",
        f"""
        n = int(input())
        numbers = list(map(int, input().split()))
        print(f"{{sum(numbers) / n:.{places}f}}")
        print(f"{{sum(number * number for number in numbers) / n:.{places}f}}")
        """,
        inputs,
        floats=True,
    )


def reversed_words(rng: random.Random) -> Exercise:
    what, do = rng.choice(
        [
            ("in reverse order", "words[::-1]"),
            ("each spelled backwards, in their order", "[word[::-1] for word in words]"),
            ("sorted by length, equally long ones in their order", "sorted(words, key=len)"),
        ]
    )
    inputs = [
        "2\nthe quick brown fox\na bb a\n",
        "1\none\n",
        *(
            "2\n" + "".join(" ".join(rng.choices(WORDS, k=rng.randint(2, 7))) + "\n" for _ in range(2))
            for _ in range(3)
        ),
    ]
    return written(
        f"The first line holds n. For each of the n lines behind it, print its words, separated by single spaces, {what}.",
        f"""
        n = int(input())
        for _ in range(n):
            words = input().split()
            print(" ".join({do}))
        """,
        inputs,
    )


SCRIPTS = {
    "sum of multiples": (sum_of_multiples, 0.05),
    "divisibility words": (fizz, 0.1),
    "ranking": (ranking, 0.25),
    "paths in a grid": (grid_paths, 0.5),
    "bill": (bill, 0.2),
    "nesting depth": (depths, 0.2),
    "change": (change, 0.55),
    "maze": (maze, 0.6),
    "durations": (durations, 0.3),
    "ledger": (ledger, 0.2),
    "primes": (primes, 0.35),
    "means": (averages, 0.15),
    "words of a line": (reversed_words, 0.1),
}
"""Topic to maker and difficulty."""
