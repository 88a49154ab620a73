// The theme that was chosen inside holds at the door as well.
try {
  const chosen = JSON.parse(localStorage.getItem("adminTheme"));
  if (chosen === "light" || chosen === "dark") document.documentElement.classList.add(chosen);
} catch { /* nothing was chosen */ }
