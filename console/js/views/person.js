import { fill, head } from '../dom.js';

export async function show(root) {
  document.title = 'Person · Visor';
  fill(root, head('Person'));
}
