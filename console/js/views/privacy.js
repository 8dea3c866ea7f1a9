import { fill, head } from '../dom.js';

export async function show(root) {
  document.title = 'Privacy · Visor';
  fill(root, head('Privacy'));
}
