# Warp compiles the functions below itself: it checks their types, and int(0) declares a variable to it.
# mypy: ignore-errors
# ruff: noqa: UP018, RUF046, PLR1714, SIM102, SIM109, SIM114
"""Looks through the program of a pickle before it is run: a bounded machine that knows kinds of values, no values.

A pickle is a program, and Python's own machine runs whatever it says: a memo of 2**27 places (2 GB) takes nine bytes, a
tuple of tuples as a key takes a million years to hash, and state can be set on whatever a name gave. What passes here
uses memory in proportion to its length, has keys that are quick to hash, calls only what a name gave, and sets state
only on what a call gave. The scan is compiled, because it visits every operation of the pickle.
"""

import numpy as np
import warp as wp

from openpair.geometry.warp_runtime import MODULE_OPTIONS, start_warp

wp.set_module_options(MODULE_OPTIONS)

# What a place on the machine's stack holds; 0: nothing.
PLAIN = wp.constant(1)  # None, a truth value, text, bytes, or a number that is quick to hash
LONG_NUMBER = wp.constant(2)
TUPLE = wp.constant(3)
LIST = wp.constant(4)
DICT = wp.constant(5)
SET = wp.constant(6)
NAME = wp.constant(7)  # what a name gave: a function or a class
OBJECT = wp.constant(8)  # what a call gave
MARK = wp.constant(9)

# What an operation does beside taking values off the stack and leaving one.
NOTHING = wp.constant(1)
SKIP_BYTES = wp.constant(2)  # its operand says how many bytes of a value follow
PUT = wp.constant(3)
GET = wp.constant(4)
LONG = wp.constant(5)
LINE = wp.constant(6)
TWO_LINES = wp.constant(7)
TO_MARK = wp.constant(8)
APPEND = wp.constant(9)
SETITEM = wp.constant(10)
CALL = wp.constant(11)
BUILD = wp.constant(12)
FRAME = wp.constant(13)
DUP = wp.constant(14)
POP = wp.constant(15)
STOP = wp.constant(16)
SET_MARK = wp.constant(17)

# Results of a scan. The first is good; texts for the others: unpickle.py.
CUT_OFF = wp.constant(1)
UNKNOWN_OPERATION = wp.constant(2)
EMPTY_STACK = wp.constant(3)
MEMO_TOO_LARGE = wp.constant(4)
STACK_TOO_LARGE = wp.constant(5)
MEMORY_TOO_LARGE = wp.constant(6)
SLOW_KEY = wp.constant(7)
WRONG_TARGET = wp.constant(8)
LONG_LINE = wp.constant(9)

QUICK_NUMBER_BYTES = wp.constant(8)
"""Numbers of so many bytes differ in all but three bits of their hash; longer ones can all have the same."""
LINE_BYTES = wp.constant(4096)
LINE_DIGITS = wp.constant(18)
SPARE_MEMO = 1024
SPARE_BYTES = wp.constant(wp.int64(64 << 20))
BYTES_PER_BYTE = wp.constant(wp.int64(16))
"""Memory that a pickle may take: the first, and the second for each of its bytes. Logs take about 3 for each."""

_APPENDS, _SETITEMS, _ADDITEMS, _FROZENSET, _DICT = 0x65, 0x75, 0x90, 0x91, 0x64
APPENDS, SETITEMS, ADDITEMS = wp.constant(_APPENDS), wp.constant(_SETITEMS), wp.constant(_ADDITEMS)
FROZENSET, DICT_OF = wp.constant(_FROZENSET), wp.constant(_DICT)
PUT_LINE, GET_LINE, MEMOIZE = wp.constant(0x70), wp.constant(0x67), wp.constant(0x94)
INT_LINE, LONG_LINE_OPERATION = wp.constant(0x49), wp.constant(0x4C)

# operation: what it does, bytes of its operand, values it takes, kind it leaves, memory of that [bytes, roughly]
_OPERATIONS = {
    0x72: (PUT, 4, 0, 0, 0),  # LONG_BINPUT
    0x71: (PUT, 1, 0, 0, 0),  # BINPUT
    0x70: (PUT, 0, 0, 0, 0),  # PUT
    0x94: (PUT, 0, 0, 0, 0),  # MEMOIZE
    0x6A: (GET, 4, 0, 0, 0),  # LONG_BINGET
    0x68: (GET, 1, 0, 0, 0),  # BINGET
    0x67: (GET, 0, 0, 0, 0),  # GET
    0x4B: (NOTHING, 1, 0, PLAIN, 0),  # BININT1
    0x4D: (NOTHING, 2, 0, PLAIN, 40),  # BININT2
    0x4A: (NOTHING, 4, 0, PLAIN, 40),  # BININT
    0x47: (NOTHING, 8, 0, PLAIN, 40),  # BINFLOAT
    0x88: (NOTHING, 0, 0, PLAIN, 0),  # NEWTRUE
    0x89: (NOTHING, 0, 0, PLAIN, 0),  # NEWFALSE
    0x4E: (NOTHING, 0, 0, PLAIN, 0),  # NONE
    0x58: (SKIP_BYTES, 4, 0, PLAIN, 60),  # BINUNICODE
    0x8C: (SKIP_BYTES, 1, 0, PLAIN, 60),  # SHORT_BINUNICODE
    0x8D: (SKIP_BYTES, 8, 0, PLAIN, 60),  # BINUNICODE8
    0x54: (SKIP_BYTES, 4, 0, PLAIN, 60),  # BINSTRING
    0x55: (SKIP_BYTES, 1, 0, PLAIN, 60),  # SHORT_BINSTRING
    0x42: (SKIP_BYTES, 4, 0, PLAIN, 60),  # BINBYTES
    0x43: (SKIP_BYTES, 1, 0, PLAIN, 60),  # SHORT_BINBYTES
    0x8E: (SKIP_BYTES, 8, 0, PLAIN, 60),  # BINBYTES8
    0x96: (SKIP_BYTES, 8, 0, LIST, 60),  # BYTEARRAY8; like a list, it can be no key
    0x8A: (LONG, 1, 0, PLAIN, 40),  # LONG1
    0x8B: (LONG, 4, 0, PLAIN, 40),  # LONG4
    0x49: (LINE, 0, 0, PLAIN, 60),  # INT
    0x4C: (LINE, 0, 0, PLAIN, 60),  # LONG
    0x46: (LINE, 0, 0, PLAIN, 60),  # FLOAT
    0x53: (LINE, 0, 0, PLAIN, 60),  # STRING
    0x56: (LINE, 0, 0, PLAIN, 60),  # UNICODE
    0x28: (SET_MARK, 0, 0, MARK, 0),
    0x85: (NOTHING, 0, 1, TUPLE, 80),  # TUPLE1
    0x86: (NOTHING, 0, 2, TUPLE, 80),  # TUPLE2
    0x87: (NOTHING, 0, 3, TUPLE, 80),  # TUPLE3
    0x29: (NOTHING, 0, 0, TUPLE, 0),  # EMPTY_TUPLE
    0x5D: (NOTHING, 0, 0, LIST, 80),  # EMPTY_LIST
    0x7D: (NOTHING, 0, 0, DICT, 232),  # EMPTY_DICT
    0x8F: (NOTHING, 0, 0, SET, 232),  # EMPTY_SET
    0x74: (TO_MARK, 0, 0, TUPLE, 80),  # TUPLE
    0x6C: (TO_MARK, 0, 0, LIST, 80),  # LIST
    _DICT: (TO_MARK, 0, 0, DICT, 232),
    _FROZENSET: (TO_MARK, 0, 0, OBJECT, 232),
    _APPENDS: (TO_MARK, 0, 0, 0, 0),
    _SETITEMS: (TO_MARK, 0, 0, 0, 0),
    _ADDITEMS: (TO_MARK, 0, 0, 0, 0),
    0x31: (TO_MARK, 0, 0, 0, 0),  # POP_MARK
    0x61: (APPEND, 0, 1, 0, 0),
    0x73: (SETITEM, 0, 2, 0, 100),
    0x63: (TWO_LINES, 0, 0, NAME, 0),  # GLOBAL
    0x93: (NOTHING, 0, 2, NAME, 0),  # STACK_GLOBAL
    0x52: (CALL, 0, 2, OBJECT, 260),  # REDUCE
    0x81: (CALL, 0, 2, OBJECT, 260),  # NEWOBJ
    0x62: (BUILD, 0, 1, 0, 40),
    0x95: (FRAME, 8, 0, 0, 0),
    0x80: (NOTHING, 1, 0, 0, 0),  # PROTO
    0x32: (DUP, 0, 0, 0, 0),
    0x30: (POP, 0, 0, 0, 0),
    0x2E: (STOP, 0, 1, 0, 0),
}
"""Every operation that is let through; the others (persistent objects, extensions, buffers, INST, OBJ) are not."""

MEMBER_BYTES = wp.constant(wp.int64(100))
"""Memory of a place in a list, a dictionary or a set, at most."""


@wp.func
def line_end(data: wp.array(dtype=wp.uint8), at: int) -> int:
    """Place after the line that begins at ``at``; -1 where it is cut off, -2 where it is too long."""
    end = int(at)
    while end < data.shape[0] and end - at <= LINE_BYTES:
        if data[end] == wp.uint8(10):
            return end + 1
        end += 1
    if end - at > LINE_BYTES:
        return -2
    return -1


@wp.func
def decimal(data: wp.array(dtype=wp.uint8), at: int, end: int) -> int:
    """Number of the decimal digits in [at, end); -1 where there is anything else, or too many."""
    result = int(0)
    if end - at < 1 or end - at > 9:
        return -1
    for i in range(at, end):
        digit = int(data[i]) - 48
        if digit < 0 or digit > 9:
            return -1
        result = result * 10 + digit
    return result


@wp.kernel
def scan_pickle(
    data: wp.array(dtype=wp.uint8),
    operations: wp.array2d(dtype=wp.int32),
    stack: wp.array(dtype=wp.uint8),
    memo: wp.array(dtype=wp.uint8),
    result: wp.array(dtype=wp.int32),
):
    """One pickle. ``stack`` and ``memo`` are room to work in, ``memo`` filled with zeros; result: (fault, place)."""
    size = data.shape[0]
    at = int(0)  # of the operation
    top = int(0)  # places in use of the stack
    marks = int(0)  # marks on the stack
    stored = int(0)  # places in use of the memo, as MEMOIZE counts them
    memory = wp.int64(0)
    fault = int(0)
    stopped = int(0)
    while stopped == 0 and fault == 0:
        if at >= size:
            fault = CUT_OFF
            break
        op = int(data[at])
        action = operations[op, 0]
        width = operations[op, 1]
        needed = int(operations[op, 2])
        pushed = int(operations[op, 3])
        after = int(at + 1 + width)
        if action == 0:
            fault = UNKNOWN_OPERATION
            break
        if after > size:
            fault = CUT_OFF
            break
        memory += wp.int64(operations[op, 4])
        operand = int(0)
        for i in range(width):
            byte = int(data[at + 1 + i])
            if i < 3 or (i == 3 and byte < 128):
                operand = operand | (byte << (8 * i))
            elif byte != 0:
                operand = -1  # beyond any file that is read
                break
        if action != NOTHING:
            if action == PUT:
                if op == MEMOIZE:
                    operand = stored
                elif op == PUT_LINE:
                    after = line_end(data, at + 1)
                    operand = decimal(data, at + 1, after - 1)
                if top == 0:
                    fault = EMPTY_STACK
                elif operand < 0 or operand >= memo.shape[0]:
                    fault = MEMO_TOO_LARGE
                elif stack[top - 1] == wp.uint8(MARK):
                    fault = EMPTY_STACK
                else:
                    if memo[operand] == wp.uint8(0):
                        stored += 1
                    memo[operand] = stack[top - 1]
            elif action == GET:
                if op == GET_LINE:
                    after = line_end(data, at + 1)
                    operand = decimal(data, at + 1, after - 1)
                if operand < 0 or operand >= memo.shape[0]:
                    fault = MEMO_TOO_LARGE
                elif memo[operand] == wp.uint8(0):
                    fault = EMPTY_STACK
                else:
                    pushed = int(memo[operand])
            elif action == SKIP_BYTES or action == LONG:
                if operand < 0 or operand > size - after:
                    fault = CUT_OFF
                else:
                    memory += wp.int64(operand)
                    after += operand
                    if action == LONG and operand > QUICK_NUMBER_BYTES:
                        pushed = LONG_NUMBER
            elif action == SET_MARK:
                marks += 1
            elif action == TO_MARK:
                if marks == 0:
                    fault = EMPTY_STACK
                    break
                below = int(top - 1)
                slow_members = int(0)
                slow_keys = int(0)
                while stack[below] != wp.uint8(MARK):
                    if stack[below] != wp.uint8(PLAIN):
                        slow_members += 1
                    below -= 1
                count = top - 1 - below
                top = below
                marks -= 1
                memory += MEMBER_BYTES * wp.int64(count)
                if op == SETITEMS or op == DICT_OF:  # keys and values alternate
                    if count % 2 == 1:
                        fault = EMPTY_STACK
                    for i in range(count // 2):
                        if stack[below + 1 + 2 * i] != wp.uint8(PLAIN):
                            slow_keys += 1
                if slow_keys > 0 or (slow_members > 0 and (op == ADDITEMS or op == FROZENSET)):
                    fault = SLOW_KEY
                if op == APPENDS or op == SETITEMS or op == ADDITEMS:
                    if top == 0:
                        fault = EMPTY_STACK
                    elif (
                        (op == APPENDS and stack[top - 1] != wp.uint8(LIST))
                        or (op == SETITEMS and stack[top - 1] != wp.uint8(DICT))
                        or (op == ADDITEMS and stack[top - 1] != wp.uint8(SET))
                    ):
                        fault = WRONG_TARGET
            elif action == CALL:
                if top < 2:
                    fault = EMPTY_STACK
                elif stack[top - 1] != wp.uint8(TUPLE) or stack[top - 2] != wp.uint8(NAME):
                    fault = WRONG_TARGET
            elif action == BUILD:
                if top < 2:
                    fault = EMPTY_STACK
                elif stack[top - 2] != wp.uint8(OBJECT):
                    fault = WRONG_TARGET
            elif action == APPEND:
                memory += MEMBER_BYTES
                if top < 2:
                    fault = EMPTY_STACK
                elif stack[top - 2] != wp.uint8(LIST):
                    fault = WRONG_TARGET
            elif action == SETITEM:
                if top < 3:
                    fault = EMPTY_STACK
                elif stack[top - 3] != wp.uint8(DICT):
                    fault = WRONG_TARGET
                elif stack[top - 2] != wp.uint8(PLAIN):
                    fault = SLOW_KEY
            elif action == LINE or action == TWO_LINES:
                after = line_end(data, at + 1)
                if op == INT_LINE or op == LONG_LINE_OPERATION:
                    if after - at > LINE_DIGITS:
                        pushed = LONG_NUMBER
                if action == TWO_LINES and after > 0:
                    after = line_end(data, after)
                memory += wp.int64(4 * wp.max(after - at, 0))
                if after == -2:
                    fault = LONG_LINE
            elif action == FRAME:
                if operand < 0 or operand > size - after:
                    fault = CUT_OFF
            elif action == DUP:
                if top == 0:
                    fault = EMPTY_STACK
                elif stack[top - 1] == wp.uint8(MARK):
                    fault = EMPTY_STACK
                else:
                    pushed = int(stack[top - 1])
            elif action == POP:
                if top == 0:
                    fault = EMPTY_STACK
                else:
                    if stack[top - 1] == wp.uint8(MARK):
                        marks -= 1
                    top -= 1
            elif action == STOP:
                stopped = 1

        if after < 0 and fault == 0:
            fault = CUT_OFF
        if fault == 0 and needed > 0:
            if top < needed:
                fault = EMPTY_STACK
            else:
                for i in range(needed):
                    if stack[top - 1 - i] == wp.uint8(MARK):
                        fault = EMPTY_STACK
                top -= needed
        if fault == 0 and pushed != 0:
            if top >= stack.shape[0]:
                fault = STACK_TOO_LARGE
            else:
                stack[top] = wp.uint8(pushed)
                top += 1
        if fault == 0 and memory > SPARE_BYTES + BYTES_PER_BYTE * wp.int64(size):
            fault = MEMORY_TOO_LARGE
        if fault == 0:
            at = after
    result[0] = fault
    result[1] = at


def _table():
    table = np.zeros((256, 5), np.int32)
    for operation, row in _OPERATIONS.items():
        table[operation] = row
    return table


def first_fault(program, max_stack):
    """(fault, place [bytes]) of a pickle; fault 0 where it may be run.

    Args:
        program: bytes of the pickle, less than 2**31.
        max_stack: values that it may have under construction.
    """
    if not program:
        return CUT_OFF, 0
    start_warp()
    size = len(program)
    result = wp.zeros(2, dtype=wp.int32, device="cpu")
    rooms = [
        wp.empty(min(size + 1, max_stack), dtype=wp.uint8, device="cpu"),
        wp.zeros(size // 2 + SPARE_MEMO, dtype=wp.uint8, device="cpu"),
    ]
    data = wp.from_numpy(np.frombuffer(program, np.uint8), dtype=wp.uint8, device="cpu")
    table = wp.from_numpy(_table(), dtype=wp.int32, device="cpu")
    wp.launch(scan_pickle, dim=1, inputs=[data, table, *rooms, result], device="cpu")
    fault, place = result.numpy().tolist()
    return fault, place
