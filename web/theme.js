// Before the first paint: the theme that was chosen here, if it is not the system's.
'use strict';
try {
  const theme = localStorage.getItem('theme');
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's theme it is.
}
