// Pictograms, drawn with one stroke width on a grid of 24. They go with words, or have a label.
import { svg } from './dom.js';

const PATHS = {
  wall: 'M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z',
  events: 'M5 6h14M5 12h14M5 18h9',
  people: 'M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM3 20c0-3.500 2.500-6 6-6s6 2.500 6 6M16 4.500a3.500 3.500 0 0 1 0 6.500M17.500 14.300c2.200.8 3.500 3 3.500 5.700',
  strangers: 'M12 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM5 20c0-3.800 3-6 7-6M17.500 21h.01M15.500 16a2 2 0 1 1 2 2v.8',
  privacy: 'M12 3l7 3v5c0 4.500-3 8-7 10-4-2-7-5.500-7-10V6zM9 12l2 2 4-4',
  camera: 'M4 7h11v10H4zM15 11l5-3v8l-5-3',
  plus: 'M12 5v14M5 12h14',
  ok: 'M5 12.500l4.500 4.500L19 7',
  warn: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  bad: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8.500 8.500l7 7M15.500 8.500l-7 7',
  off: 'M12 3v8M6.500 6.500a8 8 0 1 0 11 0',
  back: 'M15 5l-7 7 7 7',
  copy: 'M8 8h12v12H8zM16 8V4H4v12h4',
  logout: 'M14 4h5v16h-5M4 12h11M11 8l4 4-4 4',
  eye: 'M2 12c3-5 6.500-7 10-7s7 2 10 7c-3 5-6.500 7-10 7s-7-2-10-7zM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z',
  masked: 'M3 8c6-2 12-2 18 0-.5 5-2.500 8-5 8-2 0-3-2-4-2s-2 2-4 2c-2.500 0-4.500-3-5-8z',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l5 5',
  trash: 'M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13',
  upload: 'M12 16V5M7 10l5-5 5 5M5 19h14',
  zone: 'M5 6l13-2 2 12-12 4z',
  help: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.300-1 .8-1 1.700M12 17h.01',
};

/** A pictogram; where it stands without words, `label` says what it means. */
export function icon(name, label) {
  const props = { class: 'icon', viewBox: '0 0 24 24', width: 20, height: 20 };
  const meaning = label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' };
  return svg('svg', { ...props, ...meaning }, svg('path', { d: PATHS[name] ?? PATHS.help }));
}
