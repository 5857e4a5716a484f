import type { JSX } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Api } from './api.ts'
import { Confirmation } from './confirmation.tsx'
import { linkTo, type Place, readPlace, type ViewName, views } from './place.ts'
import { type Question, SurroundingsContext } from './surroundings.ts'
import { Configuration } from './views/configuration.tsx'
import { Keys } from './views/keys.tsx'
import { Live } from './views/live.tsx'
import { OverviewPage } from './views/overview.tsx'
import { Routes } from './views/routes.tsx'
import { Sessions } from './views/sessions.tsx'
import { Store } from './views/store.tsx'
import { Upstreams } from './views/upstreams.tsx'

const pages: Readonly<Record<ViewName, (props: { place: Place }) => JSX.Element>> = {
  overview: OverviewPage,
  routes: Routes,
  sessions: Sessions,
  upstreams: Upstreams,
  live: Live,
  configuration: Configuration,
  keys: Keys,
  store: Store,
}

function usePlace(): Place {
  const [place, setPlace] = useState(() => readPlace(location.hash))
  useEffect(() => {
    const follow = () => setPlace(readPlace(location.hash))
    addEventListener('hashchange', follow)
    return () => removeEventListener('hashchange', follow)
  }, [])
  return place
}

/** The menu, and the view that the address names. */
export function Shell({ api, onLeave }: { api: Api; onLeave: (() => void) | undefined }) {
  const place = usePlace()
  const [asked, setAsked] = useState<{ question: Question; answer: (isMeant: boolean) => void }>()
  const surroundings = useMemo(
    () => ({
      api,
      confirm: (question: Question) =>
        new Promise<boolean>((resolve) => {
          const answer = (isMeant: boolean) => {
            setAsked(undefined)
            resolve(isMeant)
          }
          setAsked({ question, answer })
        }),
    }),
    [api],
  )
  useArrival(place)
  const View = pages[place.view]
  return (
    <SurroundingsContext.Provider value={surroundings}>
      <Header place={place} onLeave={onLeave} />
      <main id="main">
        <View key={`${place.view}/${place.id}`} place={place} />
      </main>
      {asked === undefined ? null : <Confirmation question={asked.question} onAnswer={asked.answer} />}
    </SurroundingsContext.Provider>
  )
}

/** Whoever comes to another view by the menu or a link is at its heading, and the window says where. */
function useArrival({ view, id }: Place): void {
  const isFirst = useRef(true)
  useEffect(() => {
    const title = views.find(({ name }) => name === view)?.title
    document.title = `${title}${id === undefined ? '' : ` ${id}`} · sessiongate`
    if (!isFirst.current) {
      document.getElementById('title')?.focus({ preventScroll: true })
      scrollTo(0, 0)
    }
    isFirst.current = false
  }, [view, id])
}

function Header({ place, onLeave }: { place: Place; onLeave: (() => void) | undefined }) {
  const [isOpen, setOpen] = useState(false)
  useEffect(() => setOpen(false), [place])
  return (
    <header class="side">
      <div class={isOpen ? 'menu open' : 'menu'}>
        <button type="button" class="skip" onClick={() => document.getElementById('title')?.focus()}>
          Skip to the content
        </button>
        <p class="brand">sessiongate</p>
        <button
          type="button"
          class="toggle"
          aria-expanded={isOpen}
          aria-controls="menu"
          onClick={() => setOpen(!isOpen)}
        >
          Menu
        </button>
        <div class="foldable" id="menu">
          <nav aria-label="Views">
            <ul>
              {views.map(({ name, title }) => (
                <li key={name}>
                  <a href={linkTo(name)} aria-current={place.view === name ? 'page' : undefined}>
                    {title}
                  </a>
                </li>
              ))}
            </ul>
          </nav>
          {onLeave === undefined ? null : (
            <button type="button" class="leave" onClick={onLeave}>
              Log out
            </button>
          )}
        </div>
      </div>
    </header>
  )
}
