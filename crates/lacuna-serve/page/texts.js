// Every string of the page, in one table: [English, Ukrainian].
export const TEXTS = {
  skip: ["Skip to the photo", "До фото"],
  open: ["Open", "Відкрити"],
  undo: ["Undo", "Скасувати"],
  redo: ["Redo", "Повернути"],
  copy: ["Copy the photo", "Скопіювати фото"],
  share: ["Share", "Поділитися"],
  shareFailed: ["The photo could not be shared", "Не вдалося поділитися фото"],
  download: ["Download", "Завантажити"],
  install: ["Install as an app", "Встановити як застосунок"],
  settings: ["Settings", "Налаштування"],
  keys: ["Keyboard shortcuts", "Клавіші"],
  close: ["Close", "Закрити"],
  cancel: ["Cancel", "Скасувати"],
  ok: ["OK", "Гаразд"],
  choose: ["Choose…", "Обрати…"],
  tools: ["Drawing tools", "Засоби малювання"],
  zoom: ["Brush size and zoom", "Розмір пензля та масштаб"],
  stage: ["Photo", "Фото"],
  brush: ["Brush", "Пензель"],
  eraser: ["Eraser", "Гумка"],
  rectangle: ["Rectangle", "Прямокутник"],
  rectangleEraser: ["Erase a rectangle", "Стерти прямокутник"],
  lasso: ["Lasso", "Ласо"],
  lassoEraser: ["Erase with the lasso", "Стерти ласо"],
  eraseKey: ["Hold: erase instead of paint", "Тримати: стирати замість малювати"],
  straightKey: ["Hold: straight line; click: line from the last point", "Тримати: пряма лінія; клацнути: лінія від останньої точки"],
  invert: ["Invert", "Обернути"],
  grow: ["Grow", "Розширити"],
  shrink: ["Shrink", "Звузити"],
  clear: ["Clear the mask", "Очистити маску"],
  maskAgain: ["Use the last mask", "Взяти попередню маску"],
  noLastMask: ["Nothing was filled yet", "Ще нічого не заповнено"],
  zoomIn: ["Zoom in", "Збільшити"],
  zoomOut: ["Zoom out", "Зменшити"],
  fit: ["Whole photo", "Усе фото"],
  oneToOne: ["1:1, actual size", "1:1, справжній розмір"],
  zoomHole: ["Zoom to what is painted", "Наблизити зафарбоване"],
  canvas: ["Photo of {width} × {height} pixels, {share} % masked", "Фото {width} × {height} пікселів, під маскою {share} %"],
  canvasEmpty: ["No photo yet", "Фото ще немає"],
  canvasHelp: [
    "Arrow keys move the cursor, faster with Shift; with Alt they move the photo. Space paints at the cursor. Enter puts the pen down or lifts it, or closes a lasso. Escape gives the stroke up.",
    "Стрілки рухають курсор, із Shift швидше; з Alt рухають фото. Пробіл малює під курсором. Enter опускає чи піднімає перо або замикає ласо. Escape скасовує мазок.",
  ],
  startTitle: ["Erase things from photos", "Приберіть зайве з фото"],
  startText: ["Open a photo, or drop or paste one here. Then paint over what should go.", "Відкрийте фото, перетягніть його сюди чи вставте. Потім зафарбуйте зайве."],
  startPrivacy: ["Photos go to this server and nowhere else.", "Фото йдуть на цей сервер і більше нікуди."],
  camera: ["Take a photo", "Сфотографувати"],
  example: ["Try the example", "Спробувати приклад"],
  compare: ["Before / after", "До / після"],
  compareSlider: ["Divider between before and after", "Межа між до і після"],
  hold: ["Hold to see before", "Тримайте, щоб бачити до"],
  progress: ["Progress", "Перебіг"],
  opening: ["Opening…", "Відкривання…"],
  sending: ["Sending…", "Надсилання…"],
  sendingPart: ["Sending… {percent} %", "Надсилання… {percent} %"],
  queued: ["Waiting; {position} more before this one", "У черзі; попереду ще {position}"],
  queuedNext: ["Waiting; this one is next", "У черзі; наступне це"],
  filling: ["Filling… {percent} %", "Заповнення… {percent} %"],
  receiving: ["Receiving… {percent} %", "Отримання… {percent} %"],
  filled: ["Filled in {seconds} s", "Заповнено за {seconds} с"],
  cancelled: ["Cancelled", "Скасовано"],
  size: ["Brush size", "Розмір пензля"],
  atOnce: ["Fill after each stroke", "Заповнювати після мазка"],
  mask: ["Mask", "Маска"],
  maskImport: ["Import…", "Імпорт…"],
  maskExport: ["Export", "Експорт"],
  expand: ["Margin (pixels)", "Відступ (пікселів)"],
  expandAuto: ["Up to the object’s soft edge", "До м’якого краю об’єкта"],
  expandAutoHelp: ["Try it if a pale or dark outline of the object is left.", "Спробуйте, якщо лишається світлий чи темний контур об’єкта."],
  maskTransparent: ["Transparent parts", "Прозорі частини"],
  nothingTransparent: ["The photo has no transparent parts.", "На фото немає прозорих частин."],
  feather: ["Soft seam (pixels)", "М’який край (пікселів)"],
  how: ["How to fill", "Як заповнювати"],
  method: ["Method", "Спосіб"],
  "method-guided": ["Best for most photos", "Найкраще для більшості фото"],
  "method-guided-help": [
    "A network decides what belongs there; the detail is copied from the photo.",
    "Мережа вирішує, що там має бути; деталі копіюються з фото.",
  ],
  "method-patchmatch": ["Fast", "Швидко"],
  "method-patchmatch-help": [
    "Copies matching pieces of the photo. Good on sky, grass, walls and water.",
    "Копіює схожі шматки фото. Добре для неба, трави, стін і води.",
  ],
  "method-network": ["Painted", "Домальовано"],
  "method-network-help": [
    "A network paints everything itself. Softer; good where nothing similar is in the photo.",
    "Мережа малює все сама. М’якше; добре, коли в фото нема нічого схожого.",
  ],
  model: ["Network", "Мережа"],
  more: ["More settings", "Більше налаштувань"],
  strategy: ["Large photos", "Великі фото"],
  strategyAuto: ["Choose by size", "Обирати за розміром"],
  strategyFull: ["Whole photo at once: slow", "Усе фото одразу: повільно"],
  strategyCrop: ["Only around what is painted", "Лише довкола зафарбованого"],
  strategyResize: ["On a smaller copy: fast, softer", "На меншій копії: швидко, м’якше"],
  longSide: ["Longer side of the copy (pixels)", "Довша сторона копії (пікселів)"],
  seed: ["Number of the first try", "Номер першої спроби"],
  seedHelp: ["Each number gives another result; the same number gives the same.", "Кожен номер дає інший результат; той самий номер дає той самий."],
  saving: ["Saved file", "Файл результату"],
  format: ["Format", "Формат"],
  formatSame: ["As the photo", "Як у фото"],
  quality: ["JPEG quality (1 to 100)", "Якість JPEG (від 1 до 100)"],
  qualityHelp: ["Empty: as the photo.", "Порожньо: як у фото."],
  latent: ["Show what the network sees", "Показати, що бачить мережа"],
  history: ["Steps", "Кроки"],
  step: ["Step {number}", "Крок {number}"],
  stepOriginal: ["The photo as opened", "Фото, як відкрито"],
  variants: ["Results to choose from", "Результати на вибір"],
  variant: ["Result {number}", "Результат {number}"],
  variantKeys: ["Choose a result", "Обрати результат"],
  fill: ["Fill", "Заповнити"],
  another: ["Another", "Інакше"],
  apiDocs: ["API", "API"],
  singleKeys: ["Shortcuts of a single key", "Клавіші без Ctrl"],
  brushSize: ["Brush size", "Розмір пензля"],
  holdKey: ["Hold: see before", "Тримати: бачити до"],
  pan: ["Move the photo", "Рухати фото"],
  panKeys: ["Space + drag, Alt + arrows", "Пробіл + тягнути, Alt + стрілки"],
  tokenTitle: ["This server asks for a token", "Цей сервер просить токен"],
  tokenText: ["Token, as the server's owner gave it:", "Токен від власника сервера:"],
  tokenWrong: ["The server does not accept that token. Check it and try again.", "Сервер не приймає цей токен. Перевірте його та спробуйте ще раз."],
  askPolarity: ["Which part shall be filled?", "Яку частину заповнити?"],
  askPolarityText: ["Red would be filled.", "Червоне буде заповнено."],
  askBright: ["The bright part", "Світлу частину"],
  askDark: ["The dark part", "Темну частину"],
  askScale: ["Scale the mask?", "Масштабувати маску?"],
  askScaleText: ["The mask is {width} × {height} pixels, the photo {photoWidth} × {photoHeight}.", "Маска має {width} × {height} пікселів, фото {photoWidth} × {photoHeight}."],
  askScaleYes: ["Scale it", "Масштабувати"],
  askReplace: ["Replace the photo?", "Замінити фото?"],
  askReplaceText: ["What was filled has not been downloaded.", "Заповнене ще не завантажено."],
  askReplaceYes: ["Replace it", "Замінити"],
  batch: ["Many photos", "Багато фото"],
  batchText: ["One mask for all, or each with its own; you get a ZIP file.", "Одна маска для всіх або кожному своя; результат у ZIP."],
  batchOpen: ["Choose photos…", "Обрати фото…"],
  batchSummary: ["{photos} photos, {masks} masks of their own", "Фото: {photos}, власних масок: {masks}"],
  batchMasks: ["Mask", "Маска"],
  batchOwn: ["Each photo's own (NAME_mask.png beside NAME.jpg)", "Кожному своя (NAME_mask.png поруч із NAME.jpg)"],
  batchCurrent: ["The mask that is drawn, or the last one that was filled", "Намальована маска або остання заповнена"],
  batchFile: ["A file for all", "Один файл для всіх"],
  batchMask: ["Mask for all", "Маска для всіх"],
  batchStart: ["Fill all", "Заповнити всі"],
  batchWaiting: ["waits", "чекає"],
  batchRunning: ["filling…", "заповнюється…"],
  batchDone: ["done", "готово"],
  batchNoMask: ["no mask", "немає маски"],
  batchFinished: ["{done} of {all} are in the ZIP file", "{done} з {all} у файлі ZIP"],
  batchTooLarge: ["The ZIP file would be larger than 4 GiB: take fewer photos at a time", "Файл ZIP був би більший за 4 ГіБ: беріть менше фото"],
  copied: ["Copied", "Скопійовано"],
  copyFailed: ["The browser does not let the page copy", "Браузер не дає скопіювати"],
  saved: ["Downloaded {name}", "Завантажено {name}"],
  nothingMasked: ["Nothing is painted: paint over what should go", "Нічого не зафарбовано: зафарбуйте зайве"],
  notAPhoto: ["{name} cannot be read as a photo", "{name} не читається як фото"],
  kindNotRead: [
    "{name}: this server cannot read this {kind} file. Save it as an ordinary JPEG or PNG and open that.",
    "{name}: цей сервер не читає цього файлу {kind}. Збережіть його як звичайний JPEG чи PNG і відкрийте той.",
  ],
  tooManyBytes: ["{name} has {size}; this server takes up to {most}", "{name} має {size}; сервер бере до {most}"],
  tooManyPixels: [
    "{name} is {width} × {height} pixels; this server takes up to {most}, and {side} pixels a side",
    "{name} має {width} × {height} пікселів; сервер бере до {most} і до {side} пікселів на сторону",
  ],
  numberBetween: ["{name}: a whole number from {least} to {most}", "{name}: ціле число від {least} до {most}"],
  megabytes: ["{number} MB", "{number} МБ"],
  megapixels: ["{number} megapixels", "{number} мегапікселів"],
  offline: ["The server does not answer. Check the connection and try again.", "Сервер не відповідає. Перевірте з’єднання та спробуйте ще раз."],
  refused: ["The server refused this ({code})", "Сервер відмовив ({code})"],
  retry: ["Busy; trying again in {seconds} s", "Зайнято; ще раз за {seconds} с"],
  penDown: ["Pen down", "Перо опущено"],
  penUp: ["Pen up", "Перо піднято"],
  corner: ["First corner set", "Перший кут поставлено"],
  // Explanations of the server's problem codes, and what to do.
  "malformed": ["The server did not understand the request. Reload the page.", "Сервер не зрозумів запиту. Перезавантажте сторінку."],
  "unauthorized": ["This server needs a token. It is asked for again with the next request.", "Цьому серверу потрібен токен. Він запитає його знову наступного разу."],
  "origin-not-allowed": ["The server does not take requests from this page's address", "Сервер не приймає запитів із цієї адреси"],
  "host-not-allowed": ["The server does not answer under this address", "Сервер не відповідає за цією адресою"],
  "not-found": ["The server does not have this. Reload the page.", "На сервері цього немає. Перезавантажте сторінку."],
  "method-not-allowed": ["The server does not take this request. Reload the page.", "Сервер не приймає цього запиту. Перезавантажте сторінку."],
  "request-timeout": ["Sending took too long. Try again on a faster connection.", "Надсилання тривало задовго. Спробуйте зі швидшим з’єднанням."],
  "job-unknown": ["The server no longer has this result. Fill again.", "Сервер уже не має цього результату. Заповніть ще раз."],
  "job-unfinished": ["The result is not ready yet. Try again.", "Результат ще не готовий. Спробуйте ще раз."],
  "job-cancelled": ["The fill was cancelled", "Заповнення скасовано"],
  "job-timeout": ["It took too long. Paint less at a time, or choose “Fast”.", "Тривало задовго. Зафарбуйте менше за раз або оберіть «Швидко»."],
  "body-too-large": ["The photo has too many bytes for this server", "Файл завеликий для цього сервера"],
  "media-type": ["The server does not take this kind of data. Reload the page.", "Сервер не приймає таких даних. Перезавантажте сторінку."],
  "field-missing": ["Something is missing from the request. Reload the page.", "У запиті чогось бракує. Перезавантажте сторінку."],
  "field-unknown": ["The server does not know one of the settings. Reload the page.", "Сервер не знає одного з налаштувань. Перезавантажте сторінку."],
  "field-invalid": ["The server does not accept one of the settings. Check their values.", "Сервер не приймає одного з налаштувань. Перевірте їхні значення."],
  "image-invalid": ["The server cannot read this photo", "Сервер не може прочитати це фото"],
  "image-too-large": ["The photo has too many pixels for this server", "Фото має забагато пікселів для цього сервера"],
  "mask-invalid": ["The server cannot read the mask", "Сервер не може прочитати маску"],
  "mask-size": ["Mask and photo differ in size", "Маска і фото різного розміру"],
  "no-known-pixels": ["Everything is painted, so nothing is left to fill from. Erase a part, or invert the mask.", "Зафарбовано все, тож нема з чого заповнювати. Зітріть частину або оберніть маску."],
  "format-unfit": ["The chosen format cannot hold this photo. Choose another format in the settings.", "Обраний формат не вміщує цього фото. Оберіть інший у налаштуваннях."],
  "memory": ["The server has too little memory for this. Paint less at a time, or take a smaller photo.", "Серверу бракує пам’яті. Зафарбуйте менше за раз або візьміть менше фото."],
  "queue-full": ["Too many people are waiting. Try again in a minute.", "У черзі забагато людей. Спробуйте за хвилину."],
  "client-busy": ["You have too many fills running. Wait for one of them.", "У вас забагато заповнень одночасно. Зачекайте на одне з них."],
  "latent-unavailable": ["This server cannot show that", "Цей сервер не може цього показати"],
  "stopping": ["The server is restarting. Try again in a minute.", "Сервер перезапускається. Спробуйте за хвилину."],
  "internal": ["The server failed. Try again.", "Сервер зазнав збою. Спробуйте ще раз."],
};

export const LANGUAGES = ["en", "uk"];

const remembered = localStorage.getItem("language");
let language = LANGUAGES.includes(remembered) ? remembered : navigator.language.startsWith("uk") ? "uk" : "en";

export function currentLanguage() {
  return language;
}

export function setLanguage(next) {
  language = next;
  localStorage.setItem("language", next);
}

/** Quantities in the units that people use. */
export const amount = {
  bytes: (bytes) => text("megabytes", { number: rounded(bytes / 1e6) }),
  pixels: (pixels) => text("megapixels", { number: rounded(pixels / 1e6) }),
};

const rounded = (number) => new Intl.NumberFormat(language, { maximumFractionDigits: number < 10 ? 1 : 0 }).format(number);

export function has(key) {
  return key in TEXTS;
}

/** The text of a key, with {names} replaced. */
export function text(key, values = {}) {
  const found = TEXTS[key];
  if (!found) throw new Error(`no text "${key}"`);
  return found[LANGUAGES.indexOf(language)].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Puts texts, labels and keys into a part of the page. */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]")) {
    const label = text(element.dataset.label);
    element.setAttribute("aria-label", label);
    if (element.tagName === "BUTTON") element.title = element.dataset.keys ? `${label} (${element.dataset.keys})` : label;
  }
}
