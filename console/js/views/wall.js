import { fill, head } from '../dom.js';

export async function show(root) {
  document.title = 'Wall · Visor';
  fill(root, head('Wall'));
}
