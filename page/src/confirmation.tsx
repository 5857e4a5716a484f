import { useEffect, useRef } from 'preact/hooks'
import type { Question } from './surroundings.ts'
import { plainly } from './wording.ts'

interface ConfirmationProps {
  readonly question: Question
  readonly onAnswer: (isMeant: boolean) => void
}

const MEANT = 'yes'

/**
 * Asks before something is done. The browser's own dialog: what lies behind it is out of reach, Escape means no, and the
 * focus goes back to where it was.
 */
export function Confirmation({ question, onAnswer }: ConfirmationProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  /** Without it the focus would leave by the last button, for the browser's own controls. */
  function keepFocus(event: KeyboardEvent): void {
    if (event.key !== 'Tab') return
    const buttons = [...(dialog.current?.querySelectorAll('button') ?? [])]
    const at = buttons.findIndex((button) => button.matches(':focus'))
    event.preventDefault()
    buttons.at((at + (event.shiftKey ? -1 : 1)) % buttons.length)?.focus()
  }
  return (
    <dialog
      ref={dialog}
      aria-labelledby="question-title"
      aria-describedby="question-text"
      onKeyDown={keepFocus}
      onClose={(event) => onAnswer(event.currentTarget.returnValue === MEANT)}
    >
      <h2 id="question-title">{question.title}</h2>
      <p id="question-text">{plainly(question.text)}</p>
      <div class="buttons">
        <button type="button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
        <button type="button" class="danger" onClick={() => dialog.current?.close(MEANT)}>
          {question.action}
        </button>
      </div>
    </dialog>
  )
}
