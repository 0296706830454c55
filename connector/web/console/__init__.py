"""The console: pages for administrators on the admin listener, under /console/.

How to add a page:

1. Write `screens/NAME.py`. A page is an `async def` that takes a ConsoleRequest and returns a Page: a template, a title and
   the template's values. What it shows comes from `await request.call("events_list", {...})`, one of the commands of
   connector/admin/ (pass `request.reveal` on where it takes `reveal`), or from `request.context`, the AdminContext. Never
   write SQL here.
2. An action is an `async def` for POST. Its ActionRoute names the role that it needs and its name in the audit log. It
   returns `Redirect(to, messages)`, which works with and without JavaScript, a Page, such as a preview, or a Download. Every
   action is written to the audit log before it runs, with the path's values, the form's `id` fields and its `why`.
3. Give the file a `SCREEN = Screen(...)` with its pages and actions, and add it to SCREENS in `screens/all_screens.py`.
4. Write `templates/NAME.html`, which extends `layout.html` and has one `<h1>`. Every button is a real form with
   `method="post"` and `{{ csrf_field }}`. Never use `|safe`, a style attribute, an inline script, `hx-on` or `hx-vals="js:"`.
   Filters: `|time`, `|age`, `|number`, `|masked`, `|donor` (for what donors wrote), `|prose` (for messages and
   cures, in which `backquotes` become code), `|state_class` (the color of a state).
5. With htmx a form's answer, or the page that it redirects to, replaces the target: name the partial template in
   `Page.fragment`. It must repeat the id of the button that was pressed, so that the focus stays there. Messages reach
   the live region of the layout by themselves.
6. An address holds ids, never a phone number or a text of a donor: what a person searches for is posted.
7. Write a browser test in tests/console with the fixtures of its conftest.
"""
