"""The names of controls. English is the source's; Russian is written out where the seed gives it, word for word, so that no catalogue
can agree with itself, and comes from the catalogue elsewhere."""

from collections.abc import Callable

from django.utils import translation

Say = Callable[[str], str]

SEED = {
    "Notification settings": "Настройки уведомлений",
    "Email notifications": "Уведомления по электронной почте",
    "Slack notifications": "Уведомления в Slack",
    "Notification channel": "Канал уведомлений",
    "Integrations": "Интеграции",
    "Link": "Связать",
    "Unlink": "Отвязать",
    "Notification email": "Электронная почта для уведомлений",
    "Internal users": "Внутренние пользователи",
    "External emails": "Внешние адреса электронной почты",
    "Add external email": "Добавить внешний адрес электронной почты",
    "Environment": "Среда",
    "Edit": "Изменить",
    "Save": "Сохранить",
    "Unsubscribe from all email notifications": "Отписаться от всех уведомлений по электронной почте",
    "Account settings": "Настройки аккаунта",
    "Succeeds": "Успешно",
    "Warns": "Предупреждения",
    "Fails": "Сбой",
    "Is canceled": "Отмена",
}


def words(language: str) -> Say:
    """What the pages say for an English text."""

    def say(text: str) -> str:
        if language == "en":
            return text
        if text in SEED:
            return SEED[text]
        with translation.override(language):
            said = translation.gettext(text)
        assert said != text, f"{text!r} is not in the catalogue"
        return said

    return say
