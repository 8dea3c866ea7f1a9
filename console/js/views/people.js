import { fill, head } from '../dom.js';

export async function show(root) {
  document.title = 'People · Visor';
  fill(root, head('People'));
}
