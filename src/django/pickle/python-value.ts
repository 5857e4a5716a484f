/**
 * Plain data of Python, as far as JSON has a form for it. A JavaScript `number` stands for an `int` and is always an
 * integer within 2^53, a `bigint` for an `int` of any size; a `Map` is a `dict` with string keys in their order, an array a
 * `list`.
 *
 * Lists and dicts that came out of a pickle may stand in several places, and may contain themselves.
 */
export type PythonValue = null | boolean | string | number | bigint | PythonFloat | PythonValue[] | PythonDict

export type PythonDict = Map<string, PythonValue>

/** A `float`: 1.0 is another value than 1, in Python and in the text of a session. */
export class PythonFloat {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}
