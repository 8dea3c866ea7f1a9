// What cameras show, as it comes. One stream for the whole page, read and decoded by a worker, and none while nobody sees it.
import { auth } from './api.js';
import { store } from './store.js';

const ADDRESS = '/console/js/live-worker.js';
// The page takes text for nothing but text; the worker's address is the one exception, and fixed.
const policy = globalThis.trustedTypes?.createPolicy('visor', { createScriptURL: (url) => { if (url !== ADDRESS) throw new TypeError(url); return url; } });

/**
 * Looks at cameras. `onPicture({ camera, bitmap, captured_at, age_ms, covered })` draws; the states of the cameras go to the store.
 * Gives `look(ids)`, which says which cameras are in sight, and `close()`.
 */
export function watch({ width, fps, onPicture, onUnseen = () => {}, onConnection = () => {} }) {
  const worker = new Worker(policy ? policy.createScriptURL(ADDRESS) : ADDRESS, { type: 'module' });
  let ids = [];
  let timer = 0;

  worker.addEventListener('message', ({ data }) => {
    if (data.type === 'picture') onPicture(data);
    else if (data.type === 'state') store.takeStates(data.cameras);
    else if (data.type === 'unseen') onUnseen(data);
    else if (data.type === 'unauthorized') store.refreshCameras().catch(() => {});
    else onConnection(data.connected);
  });

  const send = () => {
    const wanted = document.hidden ? [] : ids;
    worker.postMessage({ token: auth.token, cameras: wanted, width, fps });
  };
  document.addEventListener('visibilitychange', send);

  return {
    look(next, wish = {}) {
      const sorted = [...next].sort();
      const same = sorted.join() === ids.join() && (wish.width ?? width) === width;
      if (same) return;
      ids = sorted;
      width = wish.width ?? width;
      clearTimeout(timer);
      timer = setTimeout(send, 120);
    },
    close() {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', send);
      worker.terminate();
    },
  };
}
