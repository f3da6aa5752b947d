// What comes from the same line of the source lights up together: under the pointer, and where the keyboard's focus is.
// A click (or Enter, or Space, on a line) keeps it lit until the next one, or Escape.
document.querySelectorAll('.chainrule-report:not([data-live])').forEach(report => {
  report.dataset.live = '';
  let index;  // elements by the name of a line, made when it is first needed
  const parts = name => {
    if (!index) {
      index = new Map();
      for (const part of report.querySelectorAll('[data-at]'))
        for (const line of part.dataset.at.split(' ')) {
          if (!index.has(line)) index.set(line, []);
          index.get(line).push(part);
        }
    }
    return index.get(name) || [];
  };
  const source = event => {
    const part = event.target.closest && event.target.closest('[data-at]');
    return part && report.contains(part) ? part.dataset.at.split(' ') : [];
  };
  let lit = [], under = [], kept = [];
  const light = () => {
    for (const part of lit) part.classList.remove('on');
    lit = [...new Set([...under, ...kept])].flatMap(parts);
    for (const part of lit) part.classList.add('on');
  };
  const follow = event => { under = source(event); light(); };
  report.addEventListener('mouseover', follow);
  report.addEventListener('mouseleave', () => { under = []; light(); });
  report.addEventListener('focusin', follow);
  report.addEventListener('focusout', () => { under = []; light(); });
  report.addEventListener('click', event => {
    if (event.target.closest('summary')) return;
    const found = source(event);
    kept = String(found) === String(kept) ? [] : found;
    light();
  });
  report.addEventListener('keydown', event => {
    if (event.key === 'Escape') kept = [];
    else if ((event.key === 'Enter' || event.key === ' ') && event.target.closest('.source')) {
      kept = source(event);
      event.preventDefault();
    } else return;
    light();
  });
  let closed = [];
  window.addEventListener('beforeprint', () => {
    closed = [...report.querySelectorAll('details:not([open])')].filter(part => !part.parentElement.closest('details'));
    for (const part of closed) part.open = true;
  });
  window.addEventListener('afterprint', () => { for (const part of closed) part.open = false; });
});
