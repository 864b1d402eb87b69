"""Accounts, the people in them and the tokens that act for them."""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from runbell.core.permissions import Role

LANGUAGES = [("en", "English"), ("ru", "Русский")]
THEMES = [("system", "system"), ("light", "light"), ("dark", "dark")]


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser):
    """A person who signs in; `Member` says in which accounts and as what. The dbt API's `user_id` is this id."""

    email = models.EmailField(max_length=254, unique=True)  # kept in lower case
    name = models.CharField(max_length=200, blank=True)
    language = models.CharField(max_length=8, choices=LANGUAGES, default="en")
    zone = models.CharField(max_length=64, default="UTC")
    theme = models.CharField(max_length=8, choices=THEMES, default="system")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(null=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    def __str__(self) -> str:
        return self.email


class Account(models.Model):
    """A team. Accounts on one server never see each other."""

    name = models.CharField(max_length=200)
    language = models.CharField(max_length=8, choices=LANGUAGES, default="en")
    zone = models.CharField(max_length=64, default="UTC")
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="members")
    role = models.CharField(max_length=32, choices=[(role.value, role.value) for role in Role])
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True)  # to about five minutes
    last_environment = models.ForeignKey("Environment", on_delete=models.SET_NULL, null=True, related_name="+")  # what pickers open with

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "account"], name="member_once")]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.account_id} as {self.role}"


class Invitation(models.Model):
    """Open until it is accepted, revoked or expired. Its link is an HMAC over `id` and `generation`: nothing that opens it is stored."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=254)  # kept in lower case
    role = models.CharField(max_length=32, choices=[(role.value, role.value) for role in Role])
    invited_by = models.ForeignKey(Member, on_delete=models.SET_NULL, null=True, related_name="+")
    generation = models.PositiveIntegerField(default=1)  # raised to make links already sent void
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    delivery = models.ForeignKey("Delivery", on_delete=models.SET_NULL, null=True, related_name="+")  # the last mail of it

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "email"], condition=models.Q(accepted_at=None, revoked_at=None), name="invitation_once"
            ),
        ]

    def __str__(self) -> str:
        return f"invitation of {self.email} to {self.account_id}"


class Token(models.Model):
    """`rb_<prefix>_<secret>`; only the SHA-256 of the whole is kept: a password hasher would cost 100 ms a report."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="tokens")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=8, unique=True)
    digest = models.CharField(max_length=64)
    permissions = models.JSONField(default=list)
    is_service = models.BooleanField(default=True)
    project = models.ForeignKey("Project", on_delete=models.CASCADE, null=True, related_name="tokens")
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"rb_{self.prefix}_…"


class AuditEntry(models.Model):
    """Who changed what. `before` and `after` never hold a secret."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="audit_entries")
    at = models.DateTimeField()
    member = models.ForeignKey(Member, on_delete=models.SET_NULL, null=True)
    token = models.ForeignKey(Token, on_delete=models.SET_NULL, null=True)
    action = models.CharField(max_length=64)
    subject = models.CharField(max_length=400)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["account", "-at"], name="audit_by_time")]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"
