// The settings in force, as `fal-gateway check` shows them, and the session.

import { ask, copyButton, h, open, signOut, strip } from './kit.js';

/** @typedef {{key: string, shown: string, origin: string}} Setting */

open(state => {
  const rows = h('div', { class: 'f' }, h('p', { class: 'faint' }, 'Reading the settings…'));
  const main = h('main', { class: 'pad' }, h('h1', {}, 'Settings'), rows);
  ask('settings').then(({ settings, warnings }) => {
    main.replaceChildren(...content(settings, warnings, state.needs_session));
  }).catch(error => rows.replaceChildren(strip(error.message)));
  return main;
});

/** @param {Setting[]} settings @param {string[]} warnings @param {boolean} hasSession @returns {HTMLElement[]} */
function content(settings, warnings, hasSession) {
  const isChanged = (/** @type {Setting} */ { origin }) => origin !== 'default';
  const changed = settings.filter(isChanged).length;
  const only = h('input', { type: 'checkbox', onchange: show });
  const find = h('input', { type: 'search', placeholder: 'Find', 'aria-label': 'Find a setting', oninput: show });
  const cards = h('div', { class: 'cards' });

  function show() {
    const word = find.value.toLowerCase();
    const shown = settings.filter(setting => (!only.checked || isChanged(setting))
      && `${setting.key} ${setting.shown} ${setting.origin}`.toLowerCase().includes(word));
    const sections = [...new Set(shown.map(({ key }) => key.slice(0, key.indexOf('.'))))];
    cards.replaceChildren(...sections.map(section => h('section', { class: 'card' },
      h('header', {}, h('h2', {}, section)),
      h('ul', { class: 'set' }, shown.filter(({ key }) => key.startsWith(`${section}.`)).map(row)))));
    if (shown.length === 0) cards.append(h('p', { class: 'soft' }, only.checked && changed === 0 ? 'Nothing is changed: all settings are at their defaults.' : 'No setting has this word in it.'));
  }

  /** @param {Setting} setting */
  function row(setting) {
    return h('li', { class: isChanged(setting) && 'ch' }, h('span', {}, setting.key), h('span', {}, setting.shown), h('span', {}, setting.origin));
  }

  show();
  const toml = () => settings.filter(isChanged).map(({ key, shown }) => `${key} = ${shown}`).join('\n');
  return [
    h('div', { class: 'hd' }, h('h1', {}, 'Settings'), h('span', { class: 'faint' }, `as fal-gateway check shows them; read only; ${changed} of ${settings.length} changed`),
      h('div', { class: 'end' }, h('label', { class: 'chk' }, only, 'Only changed'), find, copyButton('Copy what is changed', toml),
        hasSession && h('button', { type: 'button', onclick: signOut }, 'Sign out'))),
    ...warnings.map(warning => strip(warning, 'warn')),
    cards,
  ];
}
