"""Administration: people, groups, tags, API tokens, and what is left of failed tasks."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_q.models import Failure
from taggit.models import Tag
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from credentials import audit
from credentials.models import CredentialTag
from devices.models import DeviceTag
from netraven_site.models import ApiToken, SignIn, TokenScope
from netraven_site.panels import cells
from netraven_site.panels.base import Panel, ReadOnlyPanel, Tool, how_many
from netraven_site.panels.texts import user_of
from netraven_site.security import lockout, sign_ins
from netraven_site.security.recent import ask_unless_recent

_SUGGESTIONS = 20


@admin.register(User)
class UserPanel(UserAdmin, Panel):  # type: ignore[type-arg]
    """People who may sign in."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    change_list_template = Panel.change_list_template
    change_form_template = Panel.change_form_template
    add_form_template = None
    list_display = ("user", "full_name", "groups_", "role", "active", "door", "signed_in")
    list_display_links = ("user",)
    actions = ("open_door", "sign_out")
    list_filter = ()
    search_help_text = "User name, name, e-mail"
    filter_horizontal = ()
    autocomplete_fields = ("groups",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """The groups of a whole page in one query."""
        return super().get_queryset(request).prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only an administrator makes administrators, or hands out rights."""
        own = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return own
        return (*own, "is_superuser", "groups", "user_permissions", "last_login", "date_joined")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """An administrator, and the password of one, is changed by administrators alone."""
        allowed = bool(super().has_change_permission(request, obj))
        return allowed and (request.user.is_superuser or not (obj is not None and obj.is_superuser))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As above."""
        allowed = bool(super().has_delete_permission(request, obj))
        return allowed and (request.user.is_superuser or not (obj is not None and obj.is_superuser))

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Whoever sets the password of somebody else can be that person, so the own one is asked for."""
        asked = ask_unless_recent(request) if request.method == "POST" else None
        answer: HttpResponse = asked or super().user_change_password(request, id, form_url)
        return answer

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Whoever is disabled is out at once."""
        super().save_model(request, obj, form, change)
        if not obj.is_active:
            sign_ins.end_of(obj, user_of(request))

    @admin.action(description="Open sign-in again", permissions=["change"])
    def open_door(self, request: HttpRequest, chosen: QuerySet[User]) -> HttpResponse:
        """After too many wrong passwords, before the time is up."""
        text = "Whoever was locked out after too many wrong passwords can sign in again at once."
        if asked := self.ask(request, chosen, title="Open sign-in again", button="Open for {}", text=text):
            return asked
        opened = sum(lockout.unlock(user, user_of(request)) for user in self._mine(request, chosen))
        messages.success(request, f"{cells.counted(opened, 'lock')} opened.")
        return HttpResponseRedirect(request.get_full_path())

    @admin.action(description="Sign out everywhere", permissions=["change"])
    def sign_out(self, request: HttpRequest, chosen: QuerySet[User]) -> HttpResponse:
        """Every browser of these people; tokens stay."""
        text = "Every browser in which they are signed in is signed out at once. API tokens stay as they are."
        if asked := self.ask(request, chosen, title="Sign out", button="Sign out {}", text=text, danger=True):
            return asked
        here = sign_ins.present(request)
        by = user_of(request)
        ended = sum(sign_ins.end_of(user, by, but=here) for user in self._mine(request, chosen))
        messages.success(request, f"{cells.counted(ended, 'browser')} signed out; this one stays.")
        return HttpResponseRedirect(request.get_full_path())

    @staticmethod
    def _mine(request: HttpRequest, chosen: QuerySet[User]) -> QuerySet[User]:
        """Administrators are looked after by administrators alone."""
        return chosen if request.user.is_superuser else chosen.filter(is_superuser=False)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Who is locked out, for the whole page in one query."""
        found = super().get_changelist_instance(request)
        locked = lockout.locked_users([row.pk for row in found.result_list])
        for row in found.result_list:
            row.locked_until = locked.get(row.pk)
        return found

    @admin.display(description="Sign-in")
    def door(self, row: Any) -> SafeString:
        """Whether too many wrong passwords have closed it."""
        until = getattr(row, "locked_until", None)
        if until is None:
            return cells.cut("open")
        return format_html('<span class="nr-off">locked until</span> {}', cells.ago(until))

    @admin.display(description="User name", ordering="username")
    def user(self, row: User) -> SafeString:
        """The name to sign in with."""
        return cells.code(row.username)

    @admin.display(description="Name", ordering="last_name")
    def full_name(self, row: User) -> SafeString:
        """As it was given."""
        return cells.cut(row.get_full_name() or row.email)

    @admin.display(description="Groups")
    def groups_(self, row: User) -> SafeString:
        """Where the rights come from."""
        return cells.tags(sorted(group.name for group in row.groups.all()))

    @admin.display(description="Role", ordering="is_superuser")
    def role(self, row: User) -> SafeString:
        """Administrator, portal or API only."""
        if row.is_superuser:
            return cells.cut("administrator")
        return cells.cut("portal" if row.is_staff else "API only")

    @admin.display(description="Active", ordering="is_active")
    def active(self, row: User) -> SafeString:
        """In words."""
        return cells.cut("yes" if row.is_active else "no")

    @admin.display(description="Last sign-in", ordering="last_login")
    def signed_in(self, row: User) -> SafeString:
        """Relative to now."""
        return cells.ago(row.last_login)


@admin.register(Group)
class GroupPanel(GroupAdmin, Panel):
    """Rights that many people have."""

    change_list_template = Panel.change_list_template
    change_form_template = Panel.change_form_template
    list_display = ("name", "people", "rights")
    empty_title = "No groups yet"
    empty_text = "A group holds rights, such as seeing devices or running jobs, for all of its people."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (("Add group", "auth_group_add"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        """With its numbers."""
        people = User.groups.through._default_manager.filter(group=OuterRef("pk"))
        rights = Group.permissions.through._default_manager.filter(group=OuterRef("pk"))
        return (
            super()
            .get_queryset(request)
            .annotate(
                people_count=how_many(people, "group"),
                rights_count=how_many(rights, "group"),
            )
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rights are handed out by administrators alone."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As above."""
        return bool(request.user.is_superuser)

    @admin.display(description="People", ordering="people_count")
    def people(self, row: Any) -> SafeString:
        """How many."""
        return cells.number(row.people_count or 0)

    @admin.display(description="Permissions", ordering="rights_count")
    def rights(self, row: Any) -> SafeString:
        """How many."""
        return cells.number(row.rights_count or 0)


@admin.register(Tag)
class TagPanel(Panel):
    """The words that bring devices and credentials together."""

    list_display = ("tag", "devices", "credentials")
    list_display_links = ("tag",)
    fields = ("name",)
    search_fields = ("name",)
    search_help_text = "Name"
    ordering = ("name",)
    delete_text = "It is taken from every device and credential. Credentials may then match fewer devices."
    empty_title = "No tags yet"
    empty_text = "Tags are made where they are used: on devices and on credentials."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (
        ("Devices", "devices_device_changelist"),
        ("Credentials", "credentials_credential_changelist"),
    )

    def get_list_display(self, request: HttpRequest) -> Any:
        """Without the numbers of what this person may not see."""
        hidden = {
            name
            for name, right in (("devices", "devices.view_device"), ("credentials", "credentials.view_credential"))
            if not request.user.has_perm(right)
        }
        return tuple(name for name in self.list_display if name not in hidden)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tag]:
        """With its numbers."""
        found: QuerySet[Tag] = super().get_queryset(request)
        return found.annotate(
            device_count=how_many(DeviceTag.objects.filter(tag=OuterRef("pk")), "tag"),
            credential_count=how_many(CredentialTag.objects.filter(tag=OuterRef("pk")), "tag"),
        )

    @admin.display(description="Name", ordering="name")
    def tag(self, row: Tag) -> SafeString:
        """The word."""
        return cells.tags([row.name])

    @admin.display(description="Devices", ordering="device_count")
    def devices(self, row: Any) -> SafeString:
        """Leads to them."""
        return _linked(row.device_count, "devices_device", row.name)

    @admin.display(description="Credentials", ordering="credential_count")
    def credentials(self, row: Any) -> SafeString:
        """Leads to them."""
        return _linked(row.credential_count, "credentials_credential", row.name)

    def extra_urls(self) -> list[Any]:
        """What the input for tags asks."""
        return [("suggest/", self.suggest_view, "suggest")]

    def suggest_view(self, request: HttpRequest) -> JsonResponse:
        """Tags that contain what was typed, for people who may see tags, devices or credentials."""
        may = request.user.has_perm
        if not any(map(may, ("taggit.view_tag", "devices.view_device", "credentials.view_credential"))):
            raise PermissionDenied
        names = Tag.objects.filter(name__icontains=request.GET.get("q", "").strip()[:100]).order_by("name")
        return JsonResponse({"tags": list(names.values_list("name", flat=True)[:_SUGGESTIONS])})


def _linked(count: int | None, model: str, tag: str) -> SafeString:
    if not count:
        return cells.number(0)
    from urllib.parse import urlencode

    url = f"{reverse(f'admin:{model}_changelist')}?{urlencode({'tag': tag})}"
    return format_html('<a class="nr-link" href="{}">{}</a>', url, cells.number(count))


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new token: for whom, what for, until when."""

    class Meta:
        model = ApiToken
        fields = ("user", "name", "scope", "expires_at")


@admin.register(ApiToken)
class TokenPanel(Panel):
    """Tokens that let programs act as people; each is shown once."""

    form = TokenForm
    list_display = ("hint_", "name", "of_user", "scope_", "created", "used", "expires")
    list_display_links = None
    list_select_related = ("user",)
    search_fields = ("name", "user__username", "hint")
    search_help_text = "Purpose, user"
    delete_text = "Programs that use it are refused from now on."
    empty_title = "No API tokens"
    empty_text = "A token lets a program use the API as one of the users. It is shown once, when it is made."
    empty_links: ClassVar[tuple[tuple[str, str], ...]] = (("Add API token", "netraven_site_apitoken_add"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        """People see their own; administrators see all."""
        found: QuerySet[ApiToken] = super().get_queryset(request)
        return found if request.user.is_superuser else found.filter(user=request.user)  # type: ignore[misc]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A token is never changed, only taken away."""
        return False

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Nobody makes a token for somebody else but an administrator."""
        if db_field.name == "user":
            users = User.objects.filter(is_active=True)
            kwargs["queryset"] = users if request.user.is_superuser else users.filter(pk=request.user.pk or 0)
            kwargs["initial"] = request.user.pk
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """One button: the token is shown next."""
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        return super().render_change_form(request, context, *args, **kwargs)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A token outlives the sign-in that made it, so the password is asked for."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        asked = ask_unless_recent(request) if request.method == "POST" else None
        return asked or super().add_view(request, form_url, extra_context)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """With a record of each."""
        gone = list(queryset.values_list("pk", flat=True))
        super().delete_queryset(request, queryset)
        audit.record("token.deleted", user=user_of(request), tokens=gone)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """Issue it; the text goes to the next page and is kept nowhere."""
        row, text = ApiToken.issue(obj.user, obj.name, obj.expires_at, obj.scope)
        audit.record("token.created", user=user_of(request), token=row.pk, user_id=obj.user_id, scope=row.scope)
        obj.pk, obj.hint, obj.digest, obj.created_at = row.pk, row.hint, row.digest, row.created_at
        request.issued_token = text  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The one page that shows the token; like every page of the portal it is not to be stored."""
        text = request.issued_token  # type: ignore[attr-defined]
        return self.render(request, "netraven/token.html", "New API token", {"token": text, "row": obj})

    @admin.display(description="Begins with", ordering="hint")
    def hint_(self, row: ApiToken) -> SafeString:
        """Enough to tell tokens apart."""
        return cells.code(f"{row.hint}…")

    @admin.display(description="User", ordering="user__username")
    def of_user(self, row: ApiToken) -> SafeString:
        """Whom it acts as."""
        return cells.code(row.user.get_username())

    @admin.display(description="Scope", ordering="scope")
    def scope_(self, row: ApiToken) -> SafeString:
        """What it may be used for."""
        return cells.cut(TokenScope(row.scope).label)

    @admin.display(description="Created", ordering="created_at")
    def created(self, row: ApiToken) -> SafeString:
        """Relative to now."""
        return cells.ago(row.created_at)

    @admin.display(description="Last used", ordering="last_used_at")
    def used(self, row: ApiToken) -> SafeString:
        """Relative to now."""
        return cells.ago(row.last_used_at)

    @admin.display(description="Expires", ordering="expires_at")
    def expires(self, row: ApiToken) -> SafeString:
        """Relative to now; an expired one says so."""
        if row.is_valid:
            return cells.ago(row.expires_at)
        return format_html('<span class="nr-off">expired</span> {}', cells.ago(row.expires_at))


@admin.register(SignIn)
class SignInPanel(Panel):
    """Browsers in which people are signed in; to delete a row is to sign it out."""

    list_display = ("of_user", "here", "address_", "browser", "began", "seen")
    list_display_links = None
    list_select_related = ("user",)
    search_fields = ("user__username", "address", "agent")
    search_help_text = "User, address, browser"
    delete_text = "These browsers are signed out at once. API tokens stay as they are."
    empty_title = "Nobody is signed in"
    empty_text = "Each browser in which somebody is signed in stands here."
    tools = (Tool("Sign me out elsewhere", "admin:netraven_site_signin_elsewhere", "logout", ""),)
    show_add_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[SignIn]:
        """People see their own; administrators see all."""
        rows = sign_ins.living(None if request.user.is_superuser else user_of(request))
        return rows.select_related("user")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """By signing in."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Everybody, their own."""
        return bool(request.user.is_authenticated)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Everybody, their own."""
        return bool(request.user.is_authenticated)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As above."""
        return bool(request.user.is_authenticated)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Marks the browser that asks."""
        self._present.set(sign_ins.present(request))
        return super().changelist_view(request, extra_context)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """There is no form."""
        return HttpResponseRedirect(self.list_url())

    def extra_urls(self) -> list[Any]:
        """Everywhere but here."""
        return [("elsewhere/", self.elsewhere_view, "elsewhere")]

    def elsewhere_view(self, request: HttpRequest) -> HttpResponse:
        """Sign oneself out in every other browser."""
        user = user_of(request)
        others = sign_ins.living(user).exclude(pk=sign_ins.present(request) or 0)
        text = "Every other browser in which you are signed in is signed out at once."
        asked = self.ask(request, others, title="Sign out elsewhere", button="Sign out {}", text=text, danger=True)
        if asked:
            return asked
        ended = sign_ins.end(others, user)
        messages.success(request, f"{cells.counted(ended, 'browser')} signed out.")
        return HttpResponseRedirect(self.list_url())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SignIn]) -> None:
        """Signs out."""
        sign_ins.end(queryset, user_of(request))

    _present: ContextVar[int | None] = ContextVar("present", default=None)

    @admin.display(description="User", ordering="user__username")
    def of_user(self, row: SignIn) -> SafeString:
        """Who."""
        return cells.code(row.user.get_username())

    @admin.display(description="Which")
    def here(self, row: SignIn) -> SafeString:
        """The browser that asks says so."""
        return cells.cut("this one" if row.pk == self._present.get() else "")

    @admin.display(description="Address", ordering="address")
    def address_(self, row: SignIn) -> SafeString:
        """Where the last request came from."""
        return cells.code(row.address)

    @admin.display(description="Browser", ordering="agent")
    def browser(self, row: SignIn) -> SafeString:
        """What it calls itself."""
        return cells.cut(row.agent)

    @admin.display(description="Signed in", ordering="created_at")
    def began(self, row: SignIn) -> SafeString:
        """Relative to now."""
        return cells.ago(row.created_at)

    @admin.display(description="Last seen", ordering="seen_at")
    def seen(self, row: SignIn) -> SafeString:
        """Relative to now."""
        return cells.ago(row.seen_at)


class FailedTaskPanel(ReadOnlyPanel):
    """Tasks of the queue that ended in an error of ours.

    Their arguments and results are unsigned pickles, which are never read: a forged one would run code.
    """

    list_display = ("task", "function", "begun", "ended")
    list_display_links = None
    search_fields = ("name", "func")
    search_help_text = "Task, function"
    ordering = ("-stopped",)
    empty_title = "No failed tasks"
    empty_text = "A task of the queue that fails for a fault of NetRaven's own is listed here."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Failure]:
        """The plain columns alone."""
        return super().get_queryset(request).only("id", "name", "func", "started", "stopped", "success")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody; nor is one shown on its own, since that would read it."""
        return False

    @admin.display(description="Task", ordering="name")
    def task(self, row: Any) -> SafeString:
        """Its name in the queue."""
        return cells.code(row.name)

    @admin.display(description="Function", ordering="func")
    def function(self, row: Any) -> SafeString:
        """What was called."""
        return cells.code(row.func)

    @admin.display(description="Begun", ordering="started")
    def begun(self, row: Any) -> SafeString:
        """Relative to now."""
        return cells.ago(row.started)

    @admin.display(description="Ended", ordering="stopped")
    def ended(self, row: Any) -> SafeString:
        """Relative to now."""
        return cells.ago(row.stopped)
