// Who asks must say who they are: with a name and a password, or with a token.
import { auth, get, post } from '../api.js';
import { h, fill, field } from '../dom.js';

export async function show(root, { problem, done }) {
  document.title = 'Log in · Visor';
  const said = h('p', { class: 'said', role: 'alert' });
  if (problem?.detail?.includes('expired')) said.textContent = 'Your login has expired.';

  const name = h('input', { name: 'username', autocomplete: 'username', required: true, autocapitalize: 'none', spellcheck: 'false' });
  const password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const byName = form('Log in', [field('Name', name), field('Password', password)], async () => {
    const { token } = await post('/auth/login', { name: name.value, password: password.value });
    auth.set(token);
  });
  const token = h('input', { name: 'token', type: 'password', autocomplete: 'off', required: true, spellcheck: 'false' });
  const byToken = form('Use this token', [field('Token', token, 'One of the file http.tokens_file.')], async () => {
    auth.set(token.value.trim());
    await get('/session');
  });

  function form(label, fields, act) {
    const button = h('button', { class: 'primary' }, label);
    return h('form', {
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        said.textContent = '';
        try {
          await act();
          await done();
        } catch (error) {
          auth.set('');
          said.textContent = words(error);
          button.disabled = false;
        }
      },
    }, fields, button);
  }

  fill(root, h('div', { class: 'login card' },
    h('h1', { tabindex: '-1' }, 'Log in'),
    h('p', { class: 'muted' }, 'This Visor asks who you are.'),
    said, byName,
    h('details', {}, h('summary', {}, 'I have a token'), byToken)));
  name.focus();
}

function words(error) {
  if (error.status === 401) return 'That is not a name and password, or a token, that Visor knows.';
  if (error.status === 404) return 'Nobody can log in by name here: use a token.';
  return error.detail ?? error.message;
}
