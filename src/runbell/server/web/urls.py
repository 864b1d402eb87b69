"""URLs of the pages."""

from django.urls import include, path

from runbell.server.web import (
    addresses,
    audit,
    deliveries,
    email_notifications,
    externals,
    home,
    jobs,
    mailbox,
    own_mail,
    pauses,
    profile,
    runs,
    tokens,
    unsubscribe,
)

_account = [
    path("", home.home, name="home"),
    path("jobs/<int:job_id>", jobs.job, name="job"),
    path("jobs/<int:job_id>/pause", pauses.pause_job, name="pause_job"),
    path("jobs/<int:job_id>/resume", pauses.resume_job, name="resume_job"),
    path("environments/<int:environment_id>/pause", pauses.pause_environment, name="pause_environment"),
    path("environments/<int:environment_id>/resume", pauses.resume_environment, name="resume_environment"),
    path("runs/<int:run_id>", runs.run, name="run"),
    path("deliveries", deliveries.deliveries, name="deliveries"),
    path("mailbox", mailbox.show, name="mailbox"),
    path("mailbox/<int:item_id>", mailbox.show, name="mail"),
    path("mailbox/<int:item_id>/html", mailbox.letter, name="letter"),
    path("settings/notifications/email", email_notifications.email_notifications, name="email_notifications"),
    path("settings/notifications/email/unsubscribe", own_mail.unsubscribe_mine, name="unsubscribe_mine"),
    path("settings/notifications/email/undo", own_mail.undo_mine, name="undo_mine"),
    path("settings/notifications/email/external", externals.add_external, name="add_external"),
    path("settings/notifications/email/external/<int:destination_id>", externals.external, name="external"),
    path("settings/notifications/email/external/<int:destination_id>/remove", externals.remove_external, name="remove_external"),
    path("settings/notifications/mine", own_mail.mine, name="mine"),
    path("settings/notifications/lift", addresses.lift, name="lift"),
    path("settings/notifications/confirmation", addresses.ask_again, name="ask_again"),
    path("settings/profile", profile.profile, name="profile"),
    path("settings/profile/theme", profile.theme, name="theme"),
    path("settings/tokens", tokens.tokens, name="tokens"),
    path("settings/tokens/<int:token_id>/revoke", tokens.revoke, name="token_revoke"),
    path("settings/audit", audit.log, name="audit"),
]

urlpatterns = [
    path("", home.root, name="root"),
    path("healthz", home.healthz, name="healthz"),
    path("readyz", home.readyz, name="readyz"),
    path("mailbox", mailbox.mailbox_root, name="mailbox_root"),
    path("a/<int:account_id>/", include(_account)),
    path("u/<str:public_id>/<int:job_id>/<str:token>", unsubscribe.by_link, name="unsubscribe"),
    path("u/<str:public_id>/<int:job_id>/<str:token>/undo", unsubscribe.undo_by_link, name="unsubscribe_undo"),
    path("confirm/<str:public_id>/<str:confirmation>", addresses.confirm, name="confirm"),
    path("account/", include("allauth.account.urls")),
    path("language/", include("django.conf.urls.i18n")),
]
