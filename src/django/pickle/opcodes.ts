/**
 * The opcodes of Python's `pickletools` that protocols 2 to 5 use for plain data; any other is refused. Missing on
 * purpose is everything that imports, calls or builds something (GLOBAL, STACK_GLOBAL, REDUCE, BUILD, INST, OBJ, NEWOBJ,
 * NEWOBJ_EX, EXT1/2/4, PERSID, BINPERSID, NEXT_BUFFER, READONLY_BUFFER), what JSON has no form for (bytes, bytearray,
 * set, frozenset), the text of protocol 0, the strings of Python 2, and what Python's pickler writes for no plain data
 * (POP, POP_MARK, DUP).
 */
export const MARK = 0x28
export const EMPTY_TUPLE = 0x29
export const STOP = 0x2e
export const BINFLOAT = 0x47
export const BININT = 0x4a
export const BININT1 = 0x4b
export const BININT2 = 0x4d
export const NONE = 0x4e
export const BINUNICODE = 0x58
export const EMPTY_LIST = 0x5d
export const APPEND = 0x61
export const APPENDS = 0x65
export const BINGET = 0x68
export const LONG_BINGET = 0x6a
export const BINPUT = 0x71
export const LONG_BINPUT = 0x72
export const SETITEM = 0x73
export const TUPLE = 0x74
export const SETITEMS = 0x75
export const EMPTY_DICT = 0x7d
export const PROTO = 0x80
export const TUPLE1 = 0x85
export const TUPLE2 = 0x86
export const TUPLE3 = 0x87
export const NEWTRUE = 0x88
export const NEWFALSE = 0x89
export const LONG1 = 0x8a
export const LONG4 = 0x8b
export const SHORT_BINUNICODE = 0x8c
export const BINUNICODE8 = 0x8d
export const MEMOIZE = 0x94
export const FRAME = 0x95
