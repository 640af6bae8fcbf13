// Leitplanke app.js: comfort only. Every function of the product works without it; nothing here approves anything.
(() => {
  'use strict';
  const $ = (s, e = document) => e.querySelector(s), $$ = (s, e = document) => [...e.querySelectorAll(s)];
  // A copy button appears only where copying works.
  if (navigator.clipboard) $$('[data-copy]').forEach(b => { b.hidden = false; });
  const typing = e => e.target.closest('input, textarea, select, [contenteditable]');

  document.addEventListener('click', e => {
    const b = e.target.closest('button');
    if (!b || !('copy' in b.dataset)) return;
    navigator.clipboard.writeText(b.dataset.copy).then(() => { b.querySelector('path').setAttribute('d', 'M4 10.5l4 4 8-9'); });
  });

  // A message after a redirect has been said once; it stays for whoever needs longer and points at it.
  const toast = $('.toast');
  if (toast) setTimeout(() => { if (!toast.matches(':hover, :focus-within')) toast.hidden = true; }, 12000);

  // j, k, Enter move through a list and open; no key decides.
  let at = -1;
  document.addEventListener('keydown', e => {
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') { e.preventDefault(); $('[data-find]')?.focus(); return; }
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e)) return;
    if (e.key === '/') { e.preventDefault(); $('[data-find]')?.focus(); return; }
    if (e.key !== 'j' && e.key !== 'k') return;
    const rows = $$('[data-keys] tbody tr.link:not([hidden])');
    if (!rows.length) return;
    at = at < 0 ? rows.findIndex(r => r.ariaSelected === 'true') : at;
    at = Math.max(0, Math.min(rows.length - 1, at + (e.key === 'j' ? 1 : -1)));
    rows.forEach((r, i) => i === at ? r.setAttribute('aria-selected', 'true') : r.removeAttribute('aria-selected'));
    $('a.go', rows[at]).focus();
  });
})();
