// Lists that come in pages: what is shown so far, and a button for the next page.
import { get, withQuery } from './api.js';
import { h, toastError } from './dom.js';
import { store } from './store.js';

const PAGE = 60;
const MOST = 1000;
/** Whoever comes or goes is shown so much later, at most. */
const REFRESH = 3000;
/** Where nobody is recognised it is asked again so much later. */
const AGAIN = 5000;

/** Loads anew when an event `concerns` the list, never in a hidden tab, and at once when somebody is forgotten. Gives what ends it. */
export function refreshed(load, concerns) {
  let due;
  const refresh = () => { due ??= setTimeout(() => { due = undefined; if (!document.hidden) load(); }, REFRESH); };
  const off = [
    store.on('event', (event) => { if (concerns(event)) refresh(); }),
    store.on('events', (events) => { if (events.some(concerns)) refresh(); }),
    store.on('forgotten', () => load()),
  ];
  return () => { clearTimeout(due); off.forEach((end) => end()); };
}

/**
 * The list at `path`, asked with what `query()` gives. `draw(problem)` is called when `shown` has changed, or when there is no
 * list since nobody is recognised. An answer that is late for a newer question counts for nothing.
 */
export function paged(path, query, draw, signal) {
  let turn = 0;
  const pages = { shown: [], cursor: null, more: null, load };
  pages.more = h('button', { type: 'button', hidden: true, onclick: () => load(true) }, 'Show more');

  async function load(next = false) {
    const mine = ++turn;
    const limit = next ? PAGE : Math.max(PAGE, Math.min(pages.shown.length, MOST));
    try {
      const page = await get(withQuery(path, { ...query(), limit, cursor: next ? pages.cursor : null }), { signal });
      if (mine !== turn) return;
      pages.shown = next ? [...pages.shown, ...page.items] : page.items;
      pages.cursor = page.next_cursor;
      pages.more.hidden = !pages.cursor;
      draw();
    } catch (error) {
      if (mine !== turn) return;
      if (error.reason !== 'recognition_off') { toastError(error); return; }
      draw(error);
      // it may be that the gallery is just being read
      setTimeout(() => { if (mine === turn && !signal.aborted) load(); }, AGAIN);
    }
  }

  return pages;
}
