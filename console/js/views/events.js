import { fill, head } from '../dom.js';

export async function show(root) {
  document.title = 'Events · Visor';
  fill(root, head('Events'));
}
